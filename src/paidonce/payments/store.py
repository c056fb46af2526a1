"""Statements over attempts. A write is guarded by the fence: a worker that lost its lease changes no row."""

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Select, Text, Update, any_, bindparam, case, exists, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY

from paidonce.clock import Instant
from paidonce.database.due import LOOK_AHEAD_MS, InsertsDue, MakesDue
from paidonce.database.locks import claim_unlocked
from paidonce.database.schema import UNPROVEN, attempt
from paidonce.database.sets import RowsInsert, encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import POSTGRESQL, SQLITE, Statement
from paidonce.database.transaction import DueTime, Transaction
from paidonce.errors import DatabaseUnavailable
from paidonce.merchants.model import TenantScopedId, pick_visible
from paidonce.merchants.scoping import is_found, read_wanted, wanted_ids
from paidonce.payments.model import FINAL, Attempt, AttemptKind, AttemptStatus, Transition, check_transition

_COLUMNS: Final = [attempt.c[name] for name in Attempt.__struct_fields__]
_SENT: Final = check_transition(AttemptStatus.READY, AttemptStatus.SENT)
# Most attempts have neither a session nor an account. Leaving these columns out makes their statements cheaper.
_SESSION_COLUMNS: Final = (
    "account_id",
    "raw_decline_code",
    "session_reference",
    "session_expires_at",
    "action",
    "return_url",
    "return_token",
    "close_reason",
    "initiated_by",
    "fallbacks",
)
_DIRECT_COLUMNS: Final = [name for name in Attempt.__struct_fields__ if name not in _SESSION_COLUMNS]


def _insert(columns: Sequence[str]) -> InsertsDue:
    statement = RowsInsert(
        lambda dialect, merchants_exist: insert_json_rows(
            dialect, attempt, *columns, merchants_exist=merchants_exist
        ).returning(attempt.c.id)
    )
    return InsertsDue(attempt, statement)


_INSERT: Final = _insert(Attempt.__struct_fields__)
_INSERT_DIRECT: Final = _insert(_DIRECT_COLUMNS)
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


def _by_id(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", id=str)
    return select(*_COLUMNS).where(attempt.c.id == wanted.c.id)


def _by_name(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str)
    return select(*_COLUMNS).where(attempt.c.id == wanted.c.id, attempt.c.merchant_id == wanted.c.merchant_id)


def _refund_by_id(dialect: str) -> Select[Any]:
    found = is_found(attempt, wanted_ids(dialect))
    return select(*_COLUMNS).where(found, attempt.c.kind == AttemptKind.REFUND)


def _settle(dialect: str, *, sessions: bool) -> Update:
    of_sessions = {"raw_decline_code": str, "session_reference": str, "action": str} if sessions else {}
    wanted = json_rows(
        dialect,
        "wanted",
        id=str,
        merchant_id=str,
        fence=int,
        source=str,
        status=str,
        due_at=int,
        lookup_count=int,
        provider_reference=str,
        decline_code=str,
        settled_at=int,
        **of_sessions,
    )
    statement = update(attempt).where(
        attempt.c.id == wanted.c.id,
        attempt.c.merchant_id == wanted.c.merchant_id,
        attempt.c.fence == wanted.c.fence,
        attempt.c.status == wanted.c.source,
    )
    changes = statement.values(
        status=wanted.c.status,
        due_at=wanted.c.due_at,
        lookup_count=wanted.c.lookup_count,
        provider_reference=func.coalesce(wanted.c.provider_reference, attempt.c.provider_reference),
        decline_code=wanted.c.decline_code,
        settled_at=wanted.c.settled_at,
        updated_at=bindparam("now"),
    )
    if sessions:
        changes = changes.values(
            raw_decline_code=wanted.c.raw_decline_code,
            session_reference=func.coalesce(wanted.c.session_reference, attempt.c.session_reference),
            action=wanted.c.action,
        )
    return changes.returning(attempt.c.id)


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


_REFUNDS: Final = (
    select(*_COLUMNS)
    .where(
        attempt.c.checkout_id == bindparam("checkout_id"),
        attempt.c.merchant_id == bindparam("whose"),
        attempt.c.kind == AttemptKind.REFUND,
    )
    .order_by(attempt.c.id)
)
_BY_STATUS: Final = (
    select(*_COLUMNS)
    .where(text(UNPROVEN), attempt.c.status == bindparam("status"))
    .order_by(attempt.c.created_at)
    .limit(bindparam("limit"))
)

_WITH_DUE: Final = Statement(_with_due)
_DUE: Final = Statement(_due)
_DUE_ONLY: Final = Statement(lambda dialect: _due(dialect, bindparam("account") == _ACCOUNT))
_DUE_EXCEPT: Final = Statement(_due_except)
_DUE_UNSENT: Final = Statement(_due_unsent)
_CLAIM: Final = MakesDue(attempt, Statement(_claim))
_BY_ID: Final = Statement(_by_id)
_BY_NAME: Final = Statement(_by_name)
_REFUND_BY_ID: Final = Statement(_refund_by_id)
_SETTLE: Final = MakesDue(attempt, Statement(partial(_settle, sessions=True)))
_SETTLE_DIRECT: Final = MakesDue(attempt, Statement(partial(_settle, sessions=False)))
_RELEASE: Final = Statement(_release)


class Held(msgspec.Struct, frozen=True, order=True):
    """An attempt in the hands of the owner that has this fence."""

    id: str
    merchant_id: str
    fence: int


def insert_attempts(transaction: Transaction, attempts: Iterable[Attempt]) -> None:
    """Insert attempts: the intent, committed before the provider hears of it."""
    rows = list(attempts)
    if rows:
        are_direct = all(one.account_id is None and one.return_url is one.initiated_by is None for one in rows)
        due = [DueTime(one.due_at, one.provider) for one in rows]
        (_INSERT_DIRECT if are_direct else _INSERT).rows(transaction, rows, due)


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


def read_attempts(transaction: Transaction, attempt_ids: Collection[str]) -> dict[str, Attempt]:
    """Read attempts by id, for the service itself: whose they are is not asked. Raises DatabaseUnavailable where one is
    not found that may be stored on a node that does not respond.
    """
    found = find_attempts(transaction, attempt_ids)
    if transaction.is_partial and len(found) < len(set(attempt_ids)):
        raise DatabaseUnavailable(is_of_one_node=True)
    return found


def find_attempts(transaction: Transaction, attempt_ids: Iterable[str]) -> dict[str, Attempt]:
    """Read attempts by id, whosever they are. Those on nodes that do not respond are left out."""
    wanted = {"wanted": encode_rows({"id": one} for one in attempt_ids)}
    return {one.id: one for one in (Attempt(*row) for row in transaction.rows_of_living_nodes(_BY_ID, wanted))}


def read_attempt(transaction: Transaction, attempt_id: str, merchant_id: str) -> Attempt | None:
    """Read an attempt of a merchant; None where there is none."""
    rows = transaction.rows(_BY_NAME, {"wanted": encode_rows([{"id": attempt_id, "merchant_id": merchant_id}])})
    return Attempt(*rows[0]) if rows else None


def apply_transitions(transaction: Transaction, transitions: Sequence[tuple[Attempt, Transition]]) -> set[str]:
    """Write transitions, one an attempt; returns the ids of those whose fence and status were still as seen."""
    if not transitions:
        return set()
    are_direct = not any(_concerns_session(attempt, transition) for attempt, transition in transitions)
    wanted = encode_rows(
        {
            "id": attempt.id,
            "merchant_id": attempt.merchant_id,
            "fence": attempt.fence,
            "source": attempt.status,
            "status": check_transition(AttemptStatus(attempt.status), transition.status, AttemptKind(attempt.kind)),
            "due_at": transition.due_at,
            "lookup_count": transition.lookup_count,
            "provider_reference": transition.provider_reference,
            "decline_code": transition.decline_code,
            "settled_at": transaction.now if transition.status in FINAL else None,
        }
        | ({} if are_direct else _of_session(transition))
        for attempt, transition in transitions
    )
    statement = _SETTLE_DIRECT if are_direct else _SETTLE
    due = [DueTime(transition.due_at, attempt.provider) for attempt, transition in transitions]
    return {name for (name,) in statement.rows(transaction, {"wanted": wanted, "now": transaction.now}, due)}


def _concerns_session(attempt: Attempt, transition: Transition) -> bool:
    """Whether a transition changes what only attempts with a session have. An action is taken away by any."""
    return attempt.status == AttemptStatus.REQUIRES_ACTION or any(_of_session(transition).values())


def _of_session(transition: Transition) -> dict[str, str | None]:
    return {
        "raw_decline_code": transition.raw_decline_code,
        "session_reference": transition.session_reference,
        "action": transition.action,
    }


def release(transaction: Transaction, held: Iterable[Held]) -> None:
    """Make attempts due at once that are still in these hands."""
    wanted = encode_rows(held)
    transaction.run(_RELEASE, {"wanted": wanted, "now": transaction.now})


def release_all(transaction: Transaction) -> None:
    """Make every leased attempt due at once: for the start of a process that knows that no other is running."""
    transaction.run(_RELEASE_ALL, {"now": transaction.now})


def read_refunds(transaction: Transaction, checkout: TenantScopedId) -> list[Attempt]:
    """Read a checkout's refunds, oldest first."""
    wanted = {"checkout_id": checkout.id, "whose": checkout.merchant_id}
    return [Attempt(*row) for row in transaction.rows(_REFUNDS, wanted)]


def read_refunds_by_id(transaction: Transaction, wanted: Collection[TenantScopedId]) -> dict[TenantScopedId, Attempt]:
    """Read refunds; those that are missing, or that their id does not find, are left out."""
    rows = read_wanted(transaction, _REFUND_BY_ID, wanted)
    return pick_visible(wanted, {one.id: one for one in (Attempt(*row) for row in rows)})


def read_unproven(transaction: Transaction, status: AttemptStatus, limit: int) -> list[Attempt]:
    """Read at most ``limit`` attempts that are UNKNOWN or in NEEDS_REVIEW, oldest first."""
    return [Attempt(*row) for row in transaction.rows(_BY_STATUS, {"status": status, "limit": limit})]
