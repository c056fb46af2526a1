"""The upkeep of deliveries, a little in each step: ranges that are redelivered, and the open deliveries of deleted
endpoints.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from paidonce.database.batcher import Batcher
from paidonce.database.transaction import Transaction
from paidonce.errors import DatabaseUnavailable, Overloaded
from paidonce.jobs.poller import RARE_FACTOR, Poller
from paidonce.merchants.model import TenantScopedId
from paidonce.webhook_endpoints import due_delivery_store, redelivery
from paidonce.webhook_endpoints.redelivery import RedeliveryName

log = structlog.get_logger()

REDELIVERIES_AT_ONCE: Final = 1  # So that orders take turns.
ENDPOINTS_AT_ONCE: Final = 1
DROP_MAX: Final = 200  # Deliveries of one endpoint: a millisecond or two of the writer.
STEP_PAUSE_SECONDS: Final = 0.02  # Between two steps, while there is more to do, others write.


class Upkeep(msgspec.Struct, frozen=True):
    """What is to be done now: orders that a step can be taken of, and deleted endpoints that left deliveries open."""

    redeliveries: list[RedeliveryName]
    deleted: list[TenantScopedId]


def find_upkeep(transaction: Transaction, requests: Sequence[None]) -> list[Upkeep]:
    """Find what is to be done, as much as one round does."""
    found = Upkeep(
        redelivery.find_ready(transaction, REDELIVERIES_AT_ONCE),
        due_delivery_store.find_deleted(transaction, ENDPOINTS_AT_ONCE),
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
            due_delivery_store.drop_open(transaction, name, limit=DROP_MAX)
        redelivery.advance_redeliveries(transaction, request.redeliveries)
    return [None for _ in requests]


def make_upkeep_poller(writer: Batcher, reader: Batcher, *, poll_seconds: float) -> Poller:
    """Make what does the upkeep from this process."""

    async def step() -> float | None:
        found = await reader.submit(find_upkeep, None)
        if not (found.redeliveries or found.deleted):
            return None
        try:
            await writer.submit(do_upkeep, found)
        except (DatabaseUnavailable, Overloaded):
            raise
        except Exception:
            # A defect. What failed is put off, so that it keeps nothing else waiting.
            log.exception("upkeep_failed", redeliveries=[one.id for one in found.redeliveries])
            await writer.submit(put_off_upkeep, found)
            return None
        return STEP_PAUSE_SECONDS

    return Poller("upkeep of deliveries", step, poll_seconds=poll_seconds, idle_seconds_max=poll_seconds * RARE_FACTOR)
