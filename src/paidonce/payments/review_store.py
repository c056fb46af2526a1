"""Statements over attempts that wait for a proof of their outcome, oldest first. Each reads a partial index of them."""

from typing import Any, Final

import msgspec
from sqlalchemy import Select, and_, bindparam, func, or_, select, text

from paidonce.clock import Instant
from paidonce.database.schema import ACCEPTED_ONLY, AWAITING_PROOF, UNPROVEN, attempt
from paidonce.database.transaction import Transaction
from paidonce.merchants.model import TenantFilter
from paidonce.payments.model import Attempt, AttemptStatus

_COLUMNS: Final = [attempt.c[name] for name in Attempt.__struct_fields__]
COUNTED_MAX: Final = 1000  # Whoever counts says "at least" then, instead of reading the backlog of an outage.
_OLDEST_UNPROVEN: Final = (
    select(attempt.c.created_at)
    .where(text(UNPROVEN), attempt.c.status == bindparam("of_status"))
    .order_by(attempt.c.created_at)
    .limit(COUNTED_MAX)
    .subquery("oldest")
)
_COUNT_UNPROVEN: Final = select(func.count(), func.min(_OLDEST_UNPROVEN.c.created_at)).select_from(_OLDEST_UNPROVEN)


class AttemptFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which attempts a page holds: those with a status that waits for a proof, oldest first.

    With ``after`` only those that follow this attempt. With ``created_before`` only those that are older.
    """

    status: AttemptStatus
    limit: int
    tenant: TenantFilter = TenantFilter()
    created_before: Instant | None = None
    after: Attempt | None = None


class AcceptedForLong(msgspec.Struct, frozen=True):
    """Attempts of one provider account whose outcome the provider has owed for long: how many, and since when.

    ``provider`` is as in the webhooks of the account: ``stripe/pac_…``, or the provider alone where it has none.
    """

    provider: str
    merchant_id: str
    attempts: int
    since: Instant


def read_attempts_that_wait(transaction: Transaction, wanted: AttemptFilter) -> list[Attempt]:
    """Read at most one more than ``limit`` attempts."""
    statement = _of_index(select(*_COLUMNS), wanted.status, of_merchant=wanted.tenant.merchant_id is not None)
    if wanted.tenant.merchant_id is not None:
        statement = statement.where(attempt.c.merchant_id == wanted.tenant.merchant_id)
    if wanted.tenant.mode is not None:
        statement = statement.where(attempt.c.mode == wanted.tenant.mode)
    if wanted.created_before is not None:
        statement = statement.where(attempt.c.created_at < wanted.created_before)
    if wanted.after is not None:
        seen = wanted.after
        statement = statement.where(
            attempt.c.created_at >= seen.created_at,  # The part that the index knows.
            or_(
                attempt.c.created_at > seen.created_at,
                and_(attempt.c.created_at == seen.created_at, attempt.c.id > seen.id),
            ),
        )
    statement = statement.order_by(attempt.c.created_at, attempt.c.id).limit(wanted.limit + 1)
    return [Attempt(*row) for row in transaction.rows(statement)]


def _of_index(statement: Select[Any], status: AttemptStatus, *, of_merchant: bool) -> Select[Any]:
    """Restrict a statement to a status, in the words of the partial index that has its attempts."""
    everybodys = ACCEPTED_ONLY if status is AttemptStatus.ACCEPTED else UNPROVEN
    return statement.where(text(AWAITING_PROOF if of_merchant else everybodys), attempt.c.status == status)


def count_unproven(transaction: Transaction, status: AttemptStatus) -> tuple[int, Instant | None]:
    """Count, up to COUNTED_MAX, the attempts that are UNKNOWN or in NEEDS_REVIEW, and tell when the oldest was
    committed.
    """
    [row] = transaction.rows(_COUNT_UNPROVEN, {"of_status": status})
    return row[0], row[1]


def count_overdue(transaction: Transaction, *, before: Instant) -> tuple[int, Instant | None]:
    """Count, up to COUNTED_MAX, the attempts that were due before an instant and that no worker has taken, and tell
    since when the oldest of these is due.
    """
    overdue = (
        select(attempt.c.due_at)
        .where(attempt.c.due_at.is_not(None), attempt.c.due_at < bindparam("before"))
        .limit(COUNTED_MAX)
        .subquery("overdue")
    )
    statement = select(func.count(), func.min(overdue.c.due_at)).select_from(overdue)
    [row] = transaction.rows(statement, {"before": before})
    return row[0], row[1]


def count_accepted_for_long(transaction: Transaction, *, before: Instant) -> list[AcceptedForLong]:
    """Count the attempts that were created before an instant and that their provider has only accepted, by account.

    At most the 1000 oldest are counted.
    """
    oldest = (
        select(attempt.c.provider, attempt.c.account_id, attempt.c.merchant_id, attempt.c.created_at)
        .where(text(ACCEPTED_ONLY), attempt.c.created_at < bindparam("before"))
        .order_by(attempt.c.created_at)
        .limit(COUNTED_MAX)
        .subquery("oldest")
    )
    statement = select(
        oldest.c.provider,
        oldest.c.account_id,
        oldest.c.merchant_id,
        func.count().label("attempts"),
        func.min(oldest.c.created_at).label("since"),
    ).group_by(oldest.c.provider, oldest.c.account_id, oldest.c.merchant_id)
    found = [
        AcceptedForLong(
            row.provider if row.account_id is None else f"{row.provider}/{row.account_id}",
            row.merchant_id,
            row.attempts,
            row.since,
        )
        for row in transaction.rows(statement, {"before": before})
    ]
    return sorted(found, key=lambda one: one.since)
