"""Customers of the example shop, who buy in a browser, also where the shop is killed while they pay."""

import os
import re
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from examples.shop.start import service_settings, shop_arguments, shop_settings
from paidonce.proving.processes import free_port
from tests.browser.judging import check_page
from tests.browser.looks import DESKTOP, PHONE, PHONE_WITHOUT_SCRIPTS, Look
from tests.support.service_process import ServiceProcess, processes, wait_until

NewPage = Callable[[Look], Page]
PAID = "Your order is paid. Thank you!"


class Shop:
    """paidonce, and a shop that sells through it and can be killed and started again."""

    def __init__(self, start: Callable[..., ServiceProcess], folder: Path) -> None:
        self._start = start
        self._folder = folder
        self._port = str(free_port())
        self.url = f"http://localhost:{self._port}"
        settings = service_settings(folder) | {"PAIDONCE_WEBHOOK_RETRY_FIRST_SECONDS": "0.5"}
        self.paidonce = start("dev", **settings)
        service = {**os.environ, **self.paidonce.settings}
        self._settings = shop_settings(folder, service, self.paidonce.url, self.url)
        self.process = self.run()

    def run(self) -> ServiceProcess:
        """Start the shop, and wait until it answers."""
        self.process = self._start(*shop_arguments(self._port), program="uvicorn", **self._settings)
        wait_until(lambda: answers(self.url))
        return self.process

    def order_url(self) -> str:
        """Return the URL of the newest order's page."""
        with closing(sqlite3.connect(self._folder / "shop.db")) as connection:
            found = connection.execute("SELECT id FROM purchase ORDER BY rowid DESC LIMIT 1").fetchone()
        return f"{self.url}/orders/{found[0]}"

    def paid_orders(self) -> int:
        """Count the orders that the shop's own database calls paid."""
        with closing(sqlite3.connect(self._folder / "shop.db")) as connection:
            return int(connection.execute("SELECT count(*) FROM purchase WHERE paid_at IS NOT NULL").fetchone()[0])


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=90).is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with processes(tmp_path) as start:
        yield Shop(start, tmp_path)


def check_out(page: Page, shop: Shop) -> None:
    """Put two packets into the cart, and go to the checkout."""
    page.goto(shop.url)
    page.get_by_label("Quantity").fill("2")
    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("button", name="Check out").click()
    expect(page.get_by_role("button", name=re.compile("^Pay .*25.80"))).to_be_visible()


@pytest.mark.parametrize("visitor", [PHONE, PHONE_WITHOUT_SCRIPTS], ids=lambda visitor: visitor.name)
def test_a_customer_buys_and_sees_that_the_order_is_paid(new_page: NewPage, shop: Shop, visitor: Look) -> None:
    page = new_page(visitor)
    check_out(page, shop)
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_text(PAID)).to_be_visible()
    wait_until(lambda: shop.paid_orders() == 1)


def test_every_page_of_the_shop_is_accessible_and_fits_and_an_order_that_is_left_can_be_paid_later(
    new_page: NewPage, shop: Shop
) -> None:
    page = new_page(PHONE)
    page.goto(shop.url)
    check_page(page)
    page.goto(f"{shop.url}/cart")
    check_page(page)
    check_out(page, shop)
    page.get_by_role("link", name="Back to the shop").click()
    expect(page.get_by_text("Your order is not paid yet.")).to_be_visible()
    check_page(page)
    page.get_by_role("button", name="Pay now").click()
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_text(PAID)).to_be_visible()
    check_page(page)


def test_a_customer_who_presses_check_out_twice_and_walks_back_has_one_order(new_page: NewPage, shop: Shop) -> None:
    page = new_page(DESKTOP)
    page.goto(shop.url)
    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("button", name="Check out").dblclick()
    expect(page.get_by_role("button", name="Pay")).to_be_visible()
    order = shop.order_url()
    page.go_back()
    page.get_by_role("button", name="Check out").click()
    page.get_by_role("button", name="Pay").click()
    page.wait_for_url(order)
    expect(page.get_by_text(PAID)).to_be_visible()
    wait_until(lambda: shop.paid_orders() == 1)


def test_an_order_is_paid_by_the_webhook_although_the_shop_was_killed_while_its_customer_paid(
    new_page: NewPage, shop: Shop
) -> None:
    page = new_page(DESKTOP)
    check_out(page, shop)
    shop.process.kill()
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_role("heading", name="Thank you, your payment has arrived")).to_be_visible()
    assert shop.paid_orders() == 0
    shop.run()
    wait_until(lambda: shop.paid_orders() == 1)  # Nobody looks at the order: only the webhook can say it.
    page.goto(shop.order_url())
    expect(page.get_by_text(PAID)).to_be_visible()


def test_make_shop_starts_both_and_ctrl_c_ends_both(tmp_path: Path) -> None:
    ports = {"PORT": str(free_port()), "SHOP_PORT": str(free_port()), "SHOP_FOLDER": str(tmp_path)}
    with processes(tmp_path) as start:
        for _ in range(2):  # The second start finds the merchant, the key and the endpoint of the first one.
            both = start(program="examples.shop.start", **ports)
            url = both.wait_for_line("The shop is at").split()[-1]
            assert answers(url)
            both.process.send_signal(signal.SIGINT)
            assert both.wait_for_end() == 0
            assert not answers(url)
            assert not answers(f"http://localhost:{ports['PORT']}/health/live")
