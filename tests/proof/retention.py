"""The story of retention: old events are deleted, and everything else stays as it is."""

import asyncio
from typing import Final

from sqlalchemy import select

from paidonce.checkouts.model import CheckoutStatus
from paidonce.database.schema import event
from tests.proof.buyer import Buyer
from tests.proof.statistics import is_counted

EVENT_DAYS: Final = 1.0
LATER_MS: Final = 2 * 86_400_000


async def forget(buyer: Buyer) -> None:
    """A purchase was counted long ago: its events are deleted."""
    checkout = await buyer.create()
    if checkout.attempt_count == 0:
        await buyer.pay(checkout)
    await buyer.until(checkout, CheckoutStatus.COMPLETED)
    await buyer.come_true(lambda: is_counted(buyer))
    buyer.arm()
    buyer.clock.shift_ms += LATER_MS
    await buyer.come_true(lambda: are_events_gone(buyer))


async def are_events_gone(buyer: Buyer) -> bool:
    await asyncio.sleep(0)
    with buyer.service.database.read() as transaction:
        return not transaction.rows(select(event.c.id).where(event.c.merchant_id == buyer.merchant_id))
