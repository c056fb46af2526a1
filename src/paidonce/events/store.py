"""Statements of the event log."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Insert, bindparam, insert, select
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
    .where(event.c.checkout_id == bindparam("checkout_id"))
    .order_by(event.c.sequence)
)


def write_events(transaction: Transaction) -> list[Event]:
    """Number the transaction's events for each merchant and insert them, as its last act before the commit.

    Returns them. From here to the commit nobody else can write an event of these merchants.
    """
    events: list[NewEvent] = transaction.events
    if not events:
        return []
    counts = Counter(new.merchant_id for new in events)
    newest = transaction.rows(
        _COUNT_EVENTS[transaction.connection.dialect.name],
        [
            {"id": merchant_id, "event_sequence": count, "created_at": transaction.now}
            for merchant_id, count in sorted(counts.items())
        ],
    )
    number = {merchant_id: sequence - counts[merchant_id] for merchant_id, sequence in newest}
    written = [_number(new, number, transaction.now) for new in events]
    transaction.run(_INSERT_EVENTS, [msgspec.structs.asdict(one) for one in written])
    return written


def _number(new: NewEvent, number: dict[str, int], now: int) -> Event:
    number[new.merchant_id] += 1
    detail = new.detail
    if new.origin.idempotency_key is not None:
        detail = {**(detail or {}), "idempotencyKey": new.origin.idempotency_key}
    return Event(
        ids.new_id(ids.EVENT),
        new.merchant_id,
        number[new.merchant_id],
        new.checkout_id,
        new.attempt_id,
        new.type.value,
        new.cause.value,
        _encode(detail).decode() if detail else None,
        new.origin.request_id,
        now,
    )


def events_of_checkout(transaction: Transaction, checkout_id: str) -> Sequence[Event]:
    """Read a checkout's events, oldest first."""
    return [Event(*row) for row in transaction.rows(_EVENTS_OF_CHECKOUT, {"checkout_id": checkout_id})]
