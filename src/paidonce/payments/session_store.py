"""Statements over attempts that a buyer pays through a session at the provider."""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Update, and_, bindparam, case, or_, select, update

from paidonce.database.due import MakesDue
from paidonce.database.schema import attempt
from paidonce.database.sets import encode_rows, json_rows
from paidonce.database.statement import Statement
from paidonce.database.transaction import DueTime, Transaction
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.model import Attempt, AttemptStatus, CloseReason, sources_of

# From here the session may be charged: what asks the provider must look the session up first.
_CHARGED: Final = AttemptStatus.SENT
_RESUME_AFTER_MS: Final = 1500  # A buyer who reloads the page does not make us ask the provider each time.


def _commit(dialect: str) -> Update:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str, fence=int, reference=str)
    statement = update(attempt).where(
        attempt.c.id == wanted.c.id,
        attempt.c.merchant_id == wanted.c.merchant_id,
        attempt.c.fence == wanted.c.fence,
        attempt.c.close_reason.is_(None),
        or_(*(attempt.c.status == source for source in sources_of(_CHARGED))),
    )
    return statement.values(
        status=_CHARGED, session_reference=wanted.c.reference, action=None, updated_at=bindparam("now")
    ).returning(attempt.c.id)


def _close(dialect: str) -> Update:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str, reason=str)
    statement = update(attempt).where(
        attempt.c.id == wanted.c.id,
        attempt.c.merchant_id == wanted.c.merchant_id,
        attempt.c.status == AttemptStatus.REQUIRES_ACTION,
        or_(
            attempt.c.close_reason.is_(None),
            and_(attempt.c.close_reason == CloseReason.REPLACED, wanted.c.reason == CloseReason.CANCELED),
        ),
    )
    # Whoever holds the lease does not know that the session is to be closed: their result must change no row.
    return statement.values(
        close_reason=wanted.c.reason,
        fence=attempt.c.fence + 1,
        due_at=bindparam("now"),
        updated_at=bindparam("now"),
    ).returning(attempt.c.id)


_COMMIT: Final = Statement(_commit)
_CLOSE: Final = MakesDue(attempt, Statement(_close))
_BY_RETURN_TOKEN: Final = Statement(
    lambda _: select(*(attempt.c[name] for name in Attempt.__struct_fields__)).where(
        attempt.c.return_token == bindparam("token")
    )
)
_RESUME: Final = MakesDue(
    attempt,
    Statement(
        lambda _: (
            update(attempt)
            .where(
                attempt.c.id == bindparam("attempt_id"),
                attempt.c.merchant_id == bindparam("tenant"),
                attempt.c.status == AttemptStatus.REQUIRES_ACTION,
                attempt.c.due_at > attempt.c.updated_at + _RESUME_AFTER_MS,
            )
            .values(
                due_at=case(
                    (attempt.c.updated_at > bindparam("before"), attempt.c.updated_at + _RESUME_AFTER_MS),
                    else_=bindparam("now"),
                )
            )
        )
    ),
)


def commit_sessions(transaction: Transaction, sessions: Sequence[tuple[Attempt, str]]) -> set[str]:
    """Commit which session is about to be charged; returns the ids of the attempts whose lease still stood."""
    wanted = encode_rows(
        {"id": one.id, "merchant_id": one.merchant_id, "fence": one.fence, "reference": reference}
        for one, reference in sessions
    )
    return transaction.column(_COMMIT, {"wanted": wanted, "now": transaction.now})


def close_sessions(transaction: Transaction, attempts: Iterable[tuple[TenantScopedId, CloseReason]]) -> set[str]:
    """Have the sessions of attempts closed that wait for a buyer; returns the ids of those that did.

    The worker closes them at the provider; until that is proven, the buyer may still pay.
    """
    wanted = encode_rows({"id": one.id, "merchant_id": one.merchant_id, "reason": reason} for one, reason in attempts)
    closed = _CLOSE.rows(transaction, {"wanted": wanted, "now": transaction.now}, [DueTime(transaction.now)])
    return {attempt_id for (attempt_id,) in closed}


def read_by_return_token(transaction: Transaction, token: str) -> Attempt | None:
    """Read the attempt to whose return URL this token belongs. One on a node that does not respond is left out."""
    rows = transaction.rows_of_living_nodes(_BY_RETURN_TOKEN, {"token": token})
    return Attempt(*rows[0]) if rows else None


def make_due(transaction: Transaction, waiting: Attempt) -> None:
    """Make an attempt due that waits for its buyer: at once, or a while after it was asked about."""
    wanted = {
        "attempt_id": waiting.id,
        "tenant": waiting.merchant_id,
        "before": transaction.now - _RESUME_AFTER_MS,
        "now": transaction.now,
    }
    due_at = max(transaction.now, waiting.updated_at + _RESUME_AFTER_MS)
    _RESUME.run(transaction, wanted, [DueTime(due_at, waiting.provider)])
