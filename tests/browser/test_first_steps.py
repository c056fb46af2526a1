"""A newcomer, who has started ``paidonce dev --demo``, as ``make run`` does, and opens the two links that it prints."""

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.looks import DESKTOP
from tests.support.service_process import processes


def test_a_newcomer_pays_the_demo_checkout_sees_it_arrive_and_refunds_a_part(
    new_page: Callable[..., Page], tmp_path: Path
) -> None:
    with processes(tmp_path) as start:
        service = start("dev", "--demo", DATABASE_URL=f"file:{tmp_path}/dev.db")
        seller = new_page(DESKTOP)
        seller.on("dialog", lambda dialog: dialog.accept())
        seller.goto(service.wait_for_line("/dashboard/login/").strip())
        seller.get_by_role("button", name="Log in").click()
        payments = seller.get_by_role("table").get_by_role("row").filter(has_text="€42.00")
        expect(payments).to_contain_text("Pending")

        buyer = new_page(DESKTOP)
        buyer.goto(service.wait_for_line("/pay/").strip())
        buyer.get_by_role("button", name=re.compile("^Pay")).click()
        expect(buyer.get_by_role("heading", level=1)).to_have_text("Thank you, your payment has arrived")

        expect(payments).to_contain_text("Completed")  # Nobody has reloaded the page.
        payments.get_by_role("link").click()
        seller.get_by_role("group").filter(has_text="Refund").locator("summary").click()
        seller.get_by_label("Amount").fill("2.00")
        seller.get_by_role("button", name=re.compile("^Refund")).click()
        expect(seller.get_by_role("status")).to_have_text("The refund of €2.00 began.")
        expect(seller.get_by_role("main")).to_contain_text(re.compile(r"Refunded\s*€2\.00"))
