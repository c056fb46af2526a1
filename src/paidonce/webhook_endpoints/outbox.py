"""The transactional outbox: the last statements before a commit insert the events, numbered, and their deliveries.

A delivery is inserted for each endpoint of the merchant, in the mode of the event, that subscribes to it. Merchants are
locked from the numbering of their events to the commit, so deliveries are numbered without a gap too, and an endpoint
gets every event of its mode after its own creation.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import structlog

from paidonce import ids
from paidonce.clock import Instant
from paidonce.database.due import MakesDue
from paidonce.database.schema import delivery
from paidonce.database.sets import encode_rows, insert_json_rows
from paidonce.database.statement import Statement
from paidonce.database.transaction import DueTime, Transaction
from paidonce.events.model import Event, EventType
from paidonce.events.store import write_events
from paidonce.webhook_endpoints.model import Delivery, DeliveryStatus, wants
from paidonce.webhook_endpoints.store import Subscription, subscriptions_of

log = structlog.get_logger()

_INSERT: Final = MakesDue(
    delivery,
    Statement(lambda dialect: insert_json_rows(dialect, delivery, *Delivery.__struct_fields__, merchants_exist=True)),
)

_read_types: Final = msgspec.json.Decoder(frozenset[str]).decode
_read_detail: Final = msgspec.json.Decoder(dict[str, Any]).decode


def write_events_and_deliveries(transaction: Transaction) -> None:
    """Write the transaction's events and their deliveries.

    Where no merchant has an endpoint, it is one read more than the events alone.
    """
    events = write_events(transaction)
    if not events:
        return
    subscriptions = subscriptions_of(transaction, sorted({event.tenant for event in events}))
    insert_deliveries(transaction, _deliveries(subscriptions, events, transaction.now))


def insert_deliveries(transaction: Transaction, deliveries: Iterable[Delivery]) -> None:
    """Insert deliveries."""
    rows = list(deliveries)
    if rows:
        _INSERT.run(transaction, {"rows": encode_rows(rows)}, [DueTime(row.due_at) for row in rows])


def _deliveries(subscriptions: Iterable[Subscription], events: Sequence[Event], now: Instant) -> Iterable[Delivery]:
    for one in subscriptions:
        types = read_filter(one.endpoint_id, one.event_types)
        number = one.newest
        for event in events:
            if (event.merchant_id, event.mode) != (one.merchant_id, one.mode):
                continue
            delivery_id = _named_in(event, one.endpoint_id)
            if delivery_id is None and wants(types, event.type):
                delivery_id = ids.new_id(ids.DELIVERY)
            if delivery_id is not None:
                number += 1
                yield new_delivery(delivery_id, one.endpoint_id, event.merchant_id, event.id, number=number, now=now)


def read_filter(endpoint_id: str, stored: str | None) -> frozenset[str] | None:
    """Read which types of events an endpoint wants; None where it has no filter.

    A filter that cannot be read is taken for none: it must not keep its merchant's events from being written.
    """
    try:
        return None if stored is None else _read_types(stored)
    except msgspec.DecodeError:
        log.exception("filter_not_read", endpoint_id=endpoint_id)
        return None


def _named_in(event: Event, endpoint_id: str) -> str | None:
    """Tell the id of the delivery that a test event asks for at this endpoint; None for any other event."""
    if event.type != EventType.ENDPOINT_TEST:
        return None
    detail = _read_detail(event.detail or "{}")
    return detail["deliveryId"] if detail["endpointId"] == endpoint_id else None


def new_delivery(
    delivery_id: str, endpoint_id: str, merchant_id: str, event_id: str, *, number: int, now: Instant
) -> Delivery:
    """Make a delivery that is due at once."""
    return Delivery(
        id=delivery_id,
        merchant_id=merchant_id,
        endpoint_id=endpoint_id,
        event_id=event_id,
        number=number,
        status=DeliveryStatus.PENDING,
        due_at=now,
        fence=0,
        failures=0,
        created_at=now,
        updated_at=now,
        delivered_at=None,
    )
