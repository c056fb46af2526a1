"""Statements over deliveries that a sender has claimed: what they say, recording tries, giving back."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Select, Update, and_, bindparam, func, select, update

from paidonce.clock import Instant
from paidonce.database.due import MakesDue
from paidonce.database.schema import attempt, checkout, delivery, delivery_try, event
from paidonce.database.sets import encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import Statement
from paidonce.database.transaction import DueTime, Transaction
from paidonce.webhook_endpoints.message import DueMessage
from paidonce.webhook_endpoints.model import Delivery, DeliveryStatus, check_transition

_OPEN: Final = delivery.c.due_at.is_not(None)
_RELEASED: Final = check_transition(DeliveryStatus.SENDING, DeliveryStatus.PENDING)


class Held(msgspec.Struct, frozen=True, order=True):
    """A delivery in the hands of the sender that has this fence."""

    id: str
    merchant_id: str
    fence: int


class NewTry(msgspec.Struct, frozen=True, kw_only=True):
    """A try, as it is kept; ``number`` is the fence of the claim that it was made under."""

    delivery_id: str
    merchant_id: str
    number: int
    started_at: Instant
    duration_ms: int
    status_code: int | None
    error: str | None
    answer: str | None


class DeliveryMark(msgspec.Struct, frozen=True, kw_only=True):
    """What a try made of a delivery, under the fence of its claim."""

    id: str
    merchant_id: str
    fence: int
    status: str
    due_at: Instant | None
    failures: int
    delivered_at: Instant | None

    def __post_init__(self) -> None:
        """Refuse a transition that is not in the table."""
        check_transition(DeliveryStatus.SENDING, DeliveryStatus(self.status))


def _messages(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str)
    columns = {
        "delivery_id": delivery.c.id,
        "merchant_id": delivery.c.merchant_id,
        "mode": event.c.mode,
        "number": delivery.c.number,
        "event_id": event.c.id,
        "type": event.c.type,
        "sequence": event.c.sequence,
        "cause": event.c.cause,
        "detail": event.c.detail,
        "created_at": event.c.created_at,
        "attempt_id": event.c.attempt_id,
        "attempt_kind": attempt.c.kind,
        "attempt_amount": attempt.c.amount,
        "attempt_currency": attempt.c.currency,
        "attempt_provider": attempt.c.provider,
        "attempt_reason": attempt.c.reason,
        "checkout_id": checkout.c.id,
        "checkout_amount": checkout.c.amount,
        "checkout_currency": checkout.c.currency,
        "checkout_key": checkout.c.idempotency_key,
        "checkout_capture_method": checkout.c.capture_method,
        "checkout_description": checkout.c.description,
        "checkout_metadata": checkout.c.metadata,
        "checkout_created_at": checkout.c.created_at,
        "checkout_expires_at": checkout.c.expires_at,
    }
    of_one_merchant = delivery.c.merchant_id == wanted.c.merchant_id
    joined = (
        wanted.join(delivery, (delivery.c.id == wanted.c.id) & of_one_merchant)
        .join(
            event,
            and_(
                event.c.id == delivery.c.event_id,
                event.c.merchant_id == delivery.c.merchant_id,
                event.c.merchant_id == wanted.c.merchant_id,
            ),
        )
        .outerjoin(checkout, (checkout.c.id == event.c.checkout_id) & (checkout.c.merchant_id == event.c.merchant_id))
        .outerjoin(attempt, (attempt.c.id == event.c.attempt_id) & (attempt.c.merchant_id == event.c.merchant_id))
    )
    return select(*(columns[name].label(name) for name in DueMessage.__struct_fields__)).select_from(joined)


def _mark(dialect: str) -> Update:
    wanted = json_rows(
        dialect,
        "wanted",
        id=str,
        merchant_id=str,
        fence=int,
        status=str,
        due_at=int,
        failures=int,
        delivered_at=int,
    )
    return (
        update(delivery)
        .where(
            delivery.c.id == wanted.c.id,
            delivery.c.merchant_id == wanted.c.merchant_id,
            delivery.c.fence == wanted.c.fence,
            delivery.c.status == DeliveryStatus.SENDING,
        )
        .values(
            status=wanted.c.status,
            due_at=wanted.c.due_at,
            failures=wanted.c.failures,
            delivered_at=func.coalesce(wanted.c.delivered_at, delivery.c.delivered_at),
            updated_at=bindparam("now"),
        )
        .returning(delivery.c.id)
    )


def _release(dialect: str) -> Update:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str, fence=int)
    statement = update(delivery).where(
        delivery.c.id == wanted.c.id,
        delivery.c.merchant_id == wanted.c.merchant_id,
        delivery.c.fence == wanted.c.fence,
        delivery.c.status == DeliveryStatus.SENDING,
    )
    return statement.values(status=_RELEASED, due_at=bindparam("now"))


_MESSAGES: Final = Statement(_messages)
_MARK: Final = MakesDue(delivery, Statement(_mark))
_RELEASE: Final = Statement(_release)
_RELEASE_ALL: Final = (
    update(delivery)
    .where(delivery.c.status == DeliveryStatus.SENDING, _OPEN)
    .values(status=_RELEASED, due_at=bindparam("now"))
)
_INSERT_TRY: Final = Statement(
    lambda dialect: insert_json_rows(dialect, delivery_try, *NewTry.__struct_fields__, merchants_exist=True)
)


def read_messages(transaction: Transaction, deliveries: Iterable[Delivery]) -> dict[str, DueMessage]:
    """Read what deliveries are to say, by their ids."""
    wanted = encode_rows({"id": one.id, "merchant_id": one.merchant_id} for one in deliveries)
    rows = transaction.rows(_MESSAGES, {"wanted": wanted})
    found = (DueMessage(**dict(zip(DueMessage.__struct_fields__, row, strict=True))) for row in rows)
    return {one.delivery_id: one for one in found}


def mark_deliveries(transaction: Transaction, marks: Sequence[DeliveryMark]) -> set[str]:
    """Write what tries came to; returns the ids of those that are still in these hands."""
    if not marks:
        return set()
    parameters = {"wanted": encode_rows(marks), "now": transaction.now}
    return {name for (name,) in _MARK.rows(transaction, parameters, [DueTime(one.due_at) for one in marks])}


def insert_tries(transaction: Transaction, tries: Sequence[NewTry]) -> None:
    """Insert tries."""
    if tries:
        transaction.run(_INSERT_TRY, {"rows": encode_rows(tries)})


def release(transaction: Transaction, held: Sequence[Held]) -> None:
    """Make deliveries due at once that are still in these hands."""
    transaction.run(_RELEASE, {"wanted": encode_rows(held), "now": transaction.now})


def release_all(transaction: Transaction) -> None:
    """Make every leased delivery due at once."""
    transaction.run(_RELEASE_ALL, {"now": transaction.now})
