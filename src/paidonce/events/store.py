"""Statements of the event log."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Text, bindparam, or_, select
from sqlalchemy.sql.dml import ReturningInsert

from paidonce import ids
from paidonce.clock import Instant
from paidonce.database.schema import event, merchant
from paidonce.database.sets import DIALECTS, encode_rows, insert_given
from paidonce.database.transaction import Transaction
from paidonce.events.model import Event, NewEvent

_encode: Final = msgspec.json.Encoder().encode


class MerchantCount(msgspec.Struct, frozen=True):
    """How many events a merchant gets; ``created_at`` is for one that comes into being by it."""

    id: str
    event_sequence: int
    created_at: Instant


def _count_events(dialect: str) -> ReturningInsert[Any]:
    # The rows of one INSERT are taken in their order. Sorted by id, they lock merchants in one order in every process,
    # so that two batches cannot deadlock; and a merchant comes into being by first use.
    upsert = insert_given(dialect, merchant, *MerchantCount.__struct_fields__)
    return upsert.on_conflict_do_update(
        index_elements=["id"],
        set_={"event_sequence": merchant.c.event_sequence + upsert.excluded.event_sequence},
    ).returning(merchant.c.id, merchant.c.event_sequence)


_COUNT_EVENTS: Final = {dialect: _count_events(dialect) for dialect in DIALECTS}
_INSERT_EVENTS: Final = {dialect: insert_given(dialect, event, *Event.__struct_fields__) for dialect in DIALECTS}
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
    dialect = transaction.connection.dialect.name
    counts = Counter([new.merchant_id for new in events])
    added = encode_rows(MerchantCount(one, count, transaction.now) for one, count in sorted(counts.items()))
    newest = transaction.rows(_COUNT_EVENTS[dialect], {"rows": added})
    number = {merchant_id: sequence - counts[merchant_id] for merchant_id, sequence in newest}
    rows = encode_rows(_numbered(new, number, transaction.now) for new in events)
    transaction.run(_INSERT_EVENTS[dialect], {"rows": rows})


def _numbered(new: NewEvent, number: dict[str, int], now: Instant) -> Event:
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
        new.type,
        new.cause,
        _encode(detail).decode() if detail else None,
        new.origin.request_id,
        now,
    )


def events_of_checkout(transaction: Transaction, checkout_id: str, merchant_id: str | None) -> Sequence[Event]:
    """Read a checkout's events, oldest first; none where it is another merchant's than the one that is named."""
    wanted = {"checkout_id": checkout_id, "whose": merchant_id}
    return [Event(*row) for row in transaction.rows(_EVENTS_OF_CHECKOUT, wanted)]
