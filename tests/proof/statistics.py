"""The story of the rollup, and what must be true of it after any run: what is counted is counted once."""

import asyncio

from sqlalchemy import select

from paidonce.checkouts.model import CheckoutStatus
from paidonce.clock import system_clock
from paidonce.database.engine import open_database
from paidonce.database.schema import merchant, statistics_cursor
from paidonce.database_url import parse_database_url
from tests.proof.buyer import Buyer
from tests.support.statistics_oracle import counted_directly, stored


async def statistics(buyer: Buyer) -> None:
    """A purchase and a refund are counted, in whatever steps."""
    buyer.arm()
    checkout = await buyer.create()
    if checkout.attempt_count == 0:
        await buyer.pay(checkout)
    await buyer.until(checkout, CheckoutStatus.COMPLETED)
    await buyer.refund(checkout, 300, "first")
    await buyer.until_refunded(checkout, 1)
    await buyer.come_true(lambda: is_counted(buyer))


async def is_counted(buyer: Buyer) -> bool:
    """Tell whether the cursor has reached the newest event. What was counted is judged after the run."""
    await asyncio.sleep(0)
    newest = select(merchant.c.event_sequence).where(merchant.c.id == buyer.merchant_id)
    counted = select(statistics_cursor.c.sequence).where(
        statistics_cursor.c.merchant_id == buyer.merchant_id, statistics_cursor.c.mode == "test"
    )
    with buyer.service.database.read() as transaction:
        return transaction.rows(newest) == transaction.rows(counted)


def miscounted(url: str, merchant_id: str) -> list[str]:
    """Tell how what is stored differs from the events that the cursors say are counted."""
    database = open_database(parse_database_url(url), clock=system_clock, exclusive=False)
    try:
        found = stored(database, merchant_id=merchant_id)
        wanted = counted_directly(database, merchant_id=merchant_id, only_up_to_cursors=True)
    finally:
        database.close()
    return [] if found == wanted else [f"The statistics are {found}; the events count as {wanted}"]
