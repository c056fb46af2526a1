"""Which deliveries there are of some events: found by event, through the index that keeps them unique."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Select, and_, select

from paidonce.clock import Instant
from paidonce.database.schema import delivery, webhook_endpoint
from paidonce.database.sets import encode_rows, json_rows
from paidonce.database.statement import Statement
from paidonce.database.transaction import Transaction
from paidonce.merchants.model import Tenant


class EventDelivery(msgspec.Struct, frozen=True):
    """A delivery of an event, and the URL that it goes to."""

    id: str
    event_id: str
    endpoint_id: str
    url: str
    status: str
    failures: int
    updated_at: Instant
    delivered_at: Instant | None


class EventNames(msgspec.Struct, frozen=True):
    """The ids of events of a merchant in one mode."""

    tenant: Tenant
    event_ids: Sequence[str]


def _deliveries(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", merchant_id=str, mode=str, event_id=str)
    of_event = and_(
        delivery.c.endpoint_id == webhook_endpoint.c.id,
        delivery.c.merchant_id == webhook_endpoint.c.merchant_id,
        delivery.c.merchant_id == wanted.c.merchant_id,
        delivery.c.event_id == wanted.c.event_id,
    )
    return (
        select(
            delivery.c.id,
            delivery.c.event_id,
            delivery.c.endpoint_id,
            webhook_endpoint.c.url,
            delivery.c.status,
            delivery.c.failures,
            delivery.c.updated_at,
            delivery.c.delivered_at,
        )
        .where(
            webhook_endpoint.c.merchant_id == wanted.c.merchant_id,
            webhook_endpoint.c.mode == wanted.c.mode,
            webhook_endpoint.c.deleted_at.is_(None),
            of_event,
        )
        .order_by(delivery.c.id)
    )


_DELIVERIES: Final = Statement(_deliveries)


def load_deliveries_of_events(transaction: Transaction, requests: Sequence[EventNames]) -> list[list[EventDelivery]]:
    """Load the deliveries of events to the endpoints that exist, oldest first."""
    return [_load(transaction, request) for request in requests]


def _load(transaction: Transaction, request: EventNames) -> list[EventDelivery]:
    tenant = request.tenant
    wanted = encode_rows(
        {"merchant_id": tenant.merchant_id, "mode": tenant.mode, "event_id": one} for one in request.event_ids
    )
    return [EventDelivery(*row) for row in transaction.rows(_DELIVERIES, {"wanted": wanted})]
