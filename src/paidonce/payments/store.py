"""Statements over attempts. A write is guarded by the fence: a worker that lost its lease changes no row."""

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Select, Update, bindparam, func, select, update

from paidonce.database.due import InsertsDue, MakesDue
from paidonce.database.schema import attempt
from paidonce.database.sets import RowsInsert, encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import Statement
from paidonce.database.transaction import DueTime, Transaction
from paidonce.errors import DatabaseUnavailable
from paidonce.merchants.model import TenantScopedId, pick_visible
from paidonce.merchants.scoping import is_found, read_wanted, wanted_ids
from paidonce.payments.model import FINAL, Attempt, AttemptKind, AttemptStatus, Transition, check_transition

_COLUMNS: Final = [attempt.c[name] for name in Attempt.__struct_fields__]
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


_REFUNDS: Final = (
    select(*_COLUMNS)
    .where(
        attempt.c.checkout_id == bindparam("checkout_id"),
        attempt.c.merchant_id == bindparam("whose"),
        attempt.c.kind == AttemptKind.REFUND,
    )
    .order_by(attempt.c.id)
)
_BY_ID: Final = Statement(_by_id)
_BY_NAME: Final = Statement(_by_name)
_REFUND_BY_ID: Final = Statement(_refund_by_id)
_SETTLE: Final = MakesDue(attempt, Statement(partial(_settle, sessions=True)))
_SETTLE_DIRECT: Final = MakesDue(attempt, Statement(partial(_settle, sessions=False)))


def insert_attempts(transaction: Transaction, attempts: Iterable[Attempt]) -> None:
    """Insert attempts: the intent, committed before the provider hears of it."""
    rows = list(attempts)
    if rows:
        are_direct = all(one.account_id is None and one.return_url is one.initiated_by is None for one in rows)
        due = [DueTime(one.due_at, one.provider) for one in rows]
        (_INSERT_DIRECT if are_direct else _INSERT).rows(transaction, rows, due)


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


def read_refunds(transaction: Transaction, checkout: TenantScopedId) -> list[Attempt]:
    """Read a checkout's refunds, oldest first."""
    wanted = {"checkout_id": checkout.id, "whose": checkout.merchant_id}
    return [Attempt(*row) for row in transaction.rows(_REFUNDS, wanted)]


def read_refunds_by_id(transaction: Transaction, wanted: Collection[TenantScopedId]) -> dict[TenantScopedId, Attempt]:
    """Read refunds; those that are missing, or that their id does not find, are left out."""
    rows = read_wanted(transaction, _REFUND_BY_ID, wanted)
    return pick_visible(wanted, {one.id: one for one in (Attempt(*row) for row in rows)})
