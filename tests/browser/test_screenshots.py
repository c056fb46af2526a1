"""The pictures in docs/screenshots/. They are written on request only, and compared by people."""

from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.checkouts import Merchant, merchant_of
from tests.browser.looks import DARK_PHONE, DESKTOP, PHONE, Look
from tests.browser.people import People
from tests.browser.test_dashboard import NewPage
from tests.support.service_process import ServiceProcess
from tests.support.warm_process import ROOT

FOLDER: Final = ROOT / "docs" / "screenshots"
BYTES_MAX: Final = 120_000  # A README is read on phones, too.


@pytest.fixture(autouse=True)
def asked_for(pytestconfig: pytest.Config) -> None:
    """Skip all of this unless it was asked for, because the pictures differ with the fonts of the machine."""
    if not pytestconfig.getoption("--screenshots"):
        pytest.skip("--screenshots writes the pictures")


def write(page: Page, name: str) -> None:
    """Write what the window shows."""
    path: Path = FOLDER / f"{name}.png"
    page.screenshot(path=path, animations="disabled", caret="hide")
    assert path.stat().st_size <= BYTES_MAX, f"{path.name} is too large"


def sell(merchant: Merchant) -> str:
    """Sell for a while; returns the id of the newest payment, of which a part was refunded."""
    for number, method in enumerate(["tok_success"] * 9 + ["tok_declined_insufficient_funds", "tok_redirect"]):
        checkout = merchant.checkout(amount=1290 * (1 + number % 4), description=f"Order {1001 + number}")
        merchant.call(checkout, "pay", paymentMethod=method)
    checkout = merchant.checkout(amount=2580, description="Order 1012: two packets of coffee beans")
    merchant.call(checkout, "pay", paymentMethod="tok_success")
    merchant.call(checkout, "refunds", amount=1290, reason="One of two came back")
    return str(checkout["id"])


@pytest.mark.parametrize(("name", "visitor"), [("checkout-page", PHONE), ("checkout-page-dark", DARK_PHONE)])
def test_the_checkout_page_is_pictured(new_page: NewPage, service: ServiceProcess, name: str, visitor: Look) -> None:
    with merchant_of(service, "coffee") as merchant:
        page = new_page(visitor)
        page.goto(merchant.checkout(amount=2580, description="2 × Coffee beans, 250 g")["url"])
        expect(page.get_by_role("button", name="Pay")).to_be_visible()
        write(page, name)


def test_the_dashboard_is_pictured(new_page: NewPage, service: ServiceProcess, people: People) -> None:
    with merchant_of(service, "coffee") as merchant:
        payment = sell(merchant)
    page = new_page(DESKTOP._replace(width=1024, height=640), people.session("operator"))
    for name, path in (("overview", ""), ("payments", "/payments"), ("payment", f"/payments/{payment}")):
        page.goto(f"{service.url}/dashboard/m/coffee/test{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        write(page, f"dashboard-{name}")
