"""The checkout that ``paidonce dev --demo`` links to."""

from pathlib import Path

from paidonce.checkouts.actions import CancelCheckout, cancel_checkouts
from paidonce.checkouts.store import id_of
from paidonce.cli.demo import demo_checkout
from tests.support.in_process_service import open_in_process_service


async def test_the_demo_checkout_stays_the_same_until_it_can_be_paid_no_more(
    migrated_database_url: str, tmp_path: Path
) -> None:
    async with open_in_process_service(migrated_database_url, str(tmp_path)) as inside:
        first = await demo_checkout(inside.service)
        assert (first.merchant_id, first.mode, first.status) == ("demo", "test", "PENDING")
        assert await demo_checkout(inside.service) == first
        await inside.service.writer.submit(cancel_checkouts, CancelCheckout(id_of(first)))
        second = await demo_checkout(inside.service)
        assert (second.id != first.id, second.status) == (True, "PENDING")
