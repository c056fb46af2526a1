"""What a sender does beside sending, a little in each round: ranges that are sent again, and what deleted endpoints
left open.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from paidonce.database.transaction import Transaction
from paidonce.webhook_endpoints import deliveries, redelivery
from paidonce.webhook_endpoints.redelivery import RedeliveryName
from paidonce.webhook_endpoints.store import EndpointName

REDELIVERIES_AT_ONCE: Final = 1  # So that orders take turns.
ENDPOINTS_AT_ONCE: Final = 1
DROP_MAX: Final = 200  # Deliveries of one endpoint: a millisecond or two of the writer.


class Upkeep(msgspec.Struct, frozen=True):
    """What is to be done now: orders that a step can be taken of, and deleted endpoints that left deliveries open."""

    redeliveries: list[RedeliveryName]
    deleted: list[EndpointName]


def find_upkeep(transaction: Transaction, requests: Sequence[None]) -> list[Upkeep]:
    """Find what is to be done, as much as one round does."""
    found = Upkeep(
        redelivery.find_ready(transaction, REDELIVERIES_AT_ONCE),
        deliveries.find_deleted(transaction, ENDPOINTS_AT_ONCE),
    )
    return [found for _ in requests]


def put_off_upkeep(transaction: Transaction, requests: Sequence[Upkeep]) -> list[None]:
    """Put off the orders of an upkeep that failed because of a defect; the log tells it, and others go on."""
    redelivery.put_off_redeliveries(transaction, [name for request in requests for name in request.redeliveries])
    return [None for _ in requests]


def do_upkeep(transaction: Transaction, requests: Sequence[Upkeep]) -> list[None]:
    """Do it: a step of each order, and a part of each deleted endpoint's deliveries."""
    for request in requests:
        for name in request.deleted:
            deliveries.drop_open(transaction, name, limit=DROP_MAX)
        redelivery.advance_redeliveries(transaction, request.redeliveries)
    return [None for _ in requests]
