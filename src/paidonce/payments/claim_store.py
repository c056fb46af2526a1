"""Statements that find the attempts that are due, lease them to a worker under a new fence, and give leases back."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Select, Text, Update, any_, bindparam, case, exists, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from paidonce.clock import Instant
from paidonce.database.due import LOOK_AHEAD_MS, MakesDue
from paidonce.database.locks import claim_unlocked
from paidonce.database.schema import attempt
from paidonce.database.sets import encode_rows, json_rows
from paidonce.database.statement import POSTGRESQL, SQLITE, Statement
from paidonce.database.transaction import DueTime, Transaction
from paidonce.payments.model import Attempt, AttemptStatus, check_transition

_COLUMNS: Final = [attempt.c[name] for name in Attempt.__struct_fields__]
_SENT: Final = check_transition(AttemptStatus.READY, AttemptStatus.SENT)
_RELEASE_ALL: Final = (
    update(attempt)
    # An UNKNOWN one may be leased, or only wait for its next look-up: asking early does no harm. Those that wait for a
    # buyer or for the provider may be many, and asking about all of them at once would tell nothing.
    .where(
        attempt.c.due_at > bindparam("now"),
        attempt.c.status.not_in([AttemptStatus.REQUIRES_ACTION, AttemptStatus.ACCEPTED]),
    )
    .values(due_at=bindparam("now"))
)
_ACCOUNT: Final = func.coalesce(attempt.c.account_id, "")


def _due(dialect: str, *of_accounts: ColumnElement[bool]) -> Select[Any]:
    due = (
        select(attempt.c.id, attempt.c.merchant_id, attempt.c.fence)
        .where(attempt.c.provider == bindparam("at_provider"), attempt.c.due_at <= bindparam("now"), *of_accounts)
        .order_by(attempt.c.due_at)
        .limit(bindparam("limit"))
    )
    # Workers do not wait for rows of each other. Citus refuses this; SQLite has one writer anyway.
    return due.with_for_update(skip_locked=True) if dialect == POSTGRESQL else due


def _with_due(dialect: str) -> Select[Any]:
    """Select which of some providers have attempts that are due, now or soon, and since when. Their names lead into the
    index.
    """
    is_wanted: ColumnElement[bool]
    if dialect == SQLITE:
        is_wanted = attempt.c.provider.in_(select(json_rows(dialect, "wanted", provider=str).c.provider))
    else:
        is_wanted = attempt.c.provider == any_(bindparam("providers", type_=ARRAY(Text())))
    return (
        select(attempt.c.provider, func.min(attempt.c.due_at))
        .where(is_wanted, attempt.c.due_at <= bindparam("until"))
        .group_by(attempt.c.provider)
    )


def _claim(dialect: str) -> Update:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str, fence=int)
    statement = update(attempt).where(
        attempt.c.id == wanted.c.id,
        attempt.c.merchant_id == wanted.c.merchant_id,
        # Another worker may have claimed it since it was found: then it has another fence, and is not due.
        attempt.c.fence == wanted.c.fence,
        attempt.c.due_at <= bindparam("now"),
    )
    changes = statement.values(
        status=case((attempt.c.status == AttemptStatus.READY, _SENT), else_=attempt.c.status),
        fence=attempt.c.fence + 1,
        due_at=bindparam("lease_until"),
        updated_at=bindparam("now"),
    )
    return changes.returning(*_COLUMNS)


def _due_unsent(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted_account", account=str)
    return _due(
        dialect,
        attempt.c.status == AttemptStatus.READY,
        attempt.c.fallbacks.is_not(None),
        exists().where(wanted.c.account == _ACCOUNT),
    )


def _due_except(dialect: str) -> Select[Any]:
    excluded = json_rows(dialect, "excluded", account=str)
    return _due(dialect, ~exists().where(excluded.c.account == _ACCOUNT))


def _release(dialect: str) -> Update:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str, fence=int)
    return (
        update(attempt)
        .where(
            attempt.c.id == wanted.c.id,
            attempt.c.merchant_id == wanted.c.merchant_id,
            attempt.c.fence == wanted.c.fence,
            attempt.c.due_at > bindparam("now"),
        )
        .values(due_at=bindparam("now"))
    )


_WITH_DUE: Final = Statement(_with_due)
_DUE: Final = Statement(_due)
_DUE_ONLY: Final = Statement(lambda dialect: _due(dialect, bindparam("account") == _ACCOUNT))
_DUE_EXCEPT: Final = Statement(_due_except)
_DUE_UNSENT: Final = Statement(_due_unsent)
_CLAIM: Final = MakesDue(attempt, Statement(_claim))
_RELEASE: Final = Statement(_release)


class Held(msgspec.Struct, frozen=True, order=True):
    """An attempt in the hands of the owner that has this fence."""

    id: str
    merchant_id: str
    fence: int


def find_providers_with_due(transaction: Transaction, providers: Collection[str]) -> set[str]:
    """Return those of some providers for which an attempt is due; note when attempts of the others are due soon."""
    wanted = {
        "wanted": encode_rows({"provider": one} for one in providers),
        "providers": list(providers),
        "until": transaction.now + LOOK_AHEAD_MS,
    }
    found = transaction.rows_of_living_nodes(_WITH_DUE, wanted)
    due = {name for name, at in found if at <= transaction.now}
    transaction.note_due(attempt, (DueTime(at, name) for name, at in found if name not in due))
    return due


def claim_due(
    transaction: Transaction,
    provider: str,
    *,
    limit: int,
    lease_until: Instant,
    except_for: Sequence[str] = (),
    only: str | None = None,
    unsent_of: Sequence[str] = (),
) -> list[Attempt]:
    """Claim at most ``limit`` due attempts of a provider until ``lease_until``; returns them with their new fence.

    ``except_for`` and ``only`` restrict the accounts. With ``unsent_of`` only attempts of these accounts are claimed
    that were never sent and can continue with another account.
    """
    wanted = {"at_provider": provider, "now": transaction.now}
    if only is not None:
        statement, restriction = _DUE_ONLY, {"account": only}
    elif unsent_of:
        statement, restriction = _DUE_UNSENT, {"wanted_account": _encode_accounts(unsent_of)}
    elif except_for:
        statement, restriction = _DUE_EXCEPT, {"excluded": _encode_accounts(except_for)}
    else:
        statement, restriction = _DUE, {}

    def find(count: int) -> list[Held]:
        due = transaction.rows_of_living_nodes(statement, {**wanted, **restriction, "limit": count})
        return [Held(*row) for row in due[:count]]

    def claim(attempts: Sequence[Held]) -> list[Attempt]:
        parameters = {"wanted": encode_rows(attempts), "now": transaction.now, "lease_until": lease_until}
        return [Attempt(*row) for row in _CLAIM.rows(transaction, parameters, [DueTime(lease_until, provider)])]

    return claim_unlocked(transaction.connection, find, claim, limit=limit)


def _encode_accounts(accounts: Sequence[str]) -> str:
    return encode_rows({"account": account} for account in accounts)


def release(transaction: Transaction, held: Iterable[Held]) -> None:
    """Make attempts due at once that are still in these hands."""
    wanted = encode_rows(held)
    transaction.run(_RELEASE, {"wanted": wanted, "now": transaction.now})


def release_all(transaction: Transaction) -> None:
    """Make every leased attempt due at once: for the start of a process that knows that no other is running."""
    transaction.run(_RELEASE_ALL, {"now": transaction.now})
