"""The story of the rollup, and what must be true of it after any run: what is counted is counted once."""

import asyncio

from sqlalchemy import select

from paidonce.checkouts.model import CheckoutStatus
from paidonce.clock import system_clock
from paidonce.database.engine import Database, open_database
from paidonce.database.schema import checkout, event_log, merchant, statistics_cursor
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


def is_deleted_from(database: Database, merchant_id: str) -> bool:
    """Tell whether events of a merchant are deleted."""
    begun = select(event_log.c.mode).where(event_log.c.merchant_id == merchant_id, event_log.c.first_sequence > 1)
    with database.read() as transaction:
        return bool(transaction.rows(begun))


def captured_by_checkouts(database: Database, merchant_id: str) -> int:
    """Sum up what the checkouts of a merchant say that was captured."""
    with database.read() as transaction:
        rows = transaction.rows(select(checkout.c.amount_captured).where(checkout.c.merchant_id == merchant_id))
    return sum(row[0] for row in rows)


def miscounted(url: str, merchant_id: str) -> list[str]:
    """Tell how what is stored differs from the events that the cursors say are counted."""
    database = open_database(parse_database_url(url), clock=system_clock, exclusive=False)
    try:
        found = stored(database, merchant_id=merchant_id)
        wanted = counted_directly(database, merchant_id=merchant_id, only_up_to_cursors=True)
        captured = None
        if is_deleted_from(database, merchant_id):  # Then the checkouts say what was counted.
            captured = captured_by_checkouts(database, merchant_id)
    finally:
        database.close()
    if captured is not None:
        counted = sum(one.get("amount_captured", 0) for one in found.values())
        return [] if counted == captured else [f"Counted as captured is {counted}; the checkouts say {captured}"]
    return [] if found == wanted else [f"The statistics are {found}; the events count as {wanted}"]
