"""Statements of the event log."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Insert, Text, bindparam, insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from paidonce import ids
from paidonce.database.schema import event, merchant
from paidonce.database.transaction import Transaction
from paidonce.events.model import Event, NewEvent

_encode: Final = msgspec.json.Encoder().encode


def _count_events(dialect: str) -> Insert:
    # The rows of one INSERT are taken in the order of its VALUES. Sorted by id, they lock merchants in one order in
    # every process, so that two batches cannot deadlock; and a merchant comes into being by first use.
    upsert = postgresql.insert(merchant) if dialect == "postgresql" else sqlite.insert(merchant)
    return upsert.on_conflict_do_update(
        index_elements=["id"],
        set_={"event_sequence": merchant.c.event_sequence + upsert.excluded.event_sequence},
    ).returning(merchant.c.id, merchant.c.event_sequence)


_COUNT_EVENTS: Final = {dialect: _count_events(dialect) for dialect in ("sqlite", "postgresql")}
_INSERT_EVENTS: Final = insert(event)
_EVENTS_OF_CHECKOUT: Final = (
    select(*(event.c[name] for name in Event.__struct_fields__))
    .where(
        event.c.checkout_id == bindparam("checkout_id"),
        or_(bindparam("whose", type_=Text()).is_(None), event.c.merchant_id == bindparam("whose", type_=Text())),
    )
    .order_by(event.c.sequence)
)


def write_events(transaction: Transaction) -> None:
    """Number the transaction's events for each merchant and insert them: its last act before the commit."""
    events: list[NewEvent] = transaction.events
    if not events:
        return
    counts = Counter(new.merchant_id for new in events)
    newest = transaction.rows(
        _COUNT_EVENTS[transaction.connection.dialect.name],
        [
            {"id": merchant_id, "event_sequence": count, "created_at": transaction.now}
            for merchant_id, count in sorted(counts.items())
        ],
    )
    number = {merchant_id: sequence - counts[merchant_id] for merchant_id, sequence in newest}
    transaction.run(_INSERT_EVENTS, [_row(new, number, transaction.now) for new in events])


def _row(new: NewEvent, number: dict[str, int], now: int) -> dict[str, object]:
    number[new.merchant_id] += 1
    detail = new.detail
    if new.origin.idempotency_key is not None:
        detail = {**(detail or {}), "idempotencyKey": new.origin.idempotency_key}
    return {
        "id": ids.new_id(ids.EVENT),
        "merchant_id": new.merchant_id,
        "sequence": number[new.merchant_id],
        "checkout_id": new.checkout_id,
        "attempt_id": new.attempt_id,
        "type": new.type.value,
        "cause": new.cause.value,
        "detail": _encode(detail).decode() if detail else None,
        "request_id": new.origin.request_id,
        "created_at": now,
    }


def events_of_checkout(transaction: Transaction, checkout_id: str, merchant_id: str | None) -> Sequence[Event]:
    """Read a checkout's events, oldest first; none where it is another merchant's than the one that is named."""
    wanted = {"checkout_id": checkout_id, "whose": merchant_id}
    return [Event(*row) for row in transaction.rows(_EVENTS_OF_CHECKOUT, wanted)]
