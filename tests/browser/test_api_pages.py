"""The pages of the API: its documentation, and the page of the simulated provider."""

import secrets
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.judging import check_page
from tests.browser.looks import PHONE, PHONE_WITHOUT_SCRIPTS, Look
from tests.support.service_process import ServiceProcess


@pytest.fixture
def provider_page_url(service: ServiceProcess) -> str:
    """Begin a payment that continues on the page of the simulated provider; returns its URL."""
    body = {"merchantId": "m_browser", "amount": 1999, "currency": "EUR", "idempotencyKey": secrets.token_hex(8)}
    body |= {"successUrl": f"{service.url}/docs#paid", "cancelUrl": f"{service.url}/docs#canceled"}
    with httpx.Client(base_url=service.url, timeout=90) as shop:
        path = shop.post("/checkouts", json=body).raise_for_status().headers["Location"]
        pay = {"paymentMethod": "tok_redirect"}
        paying = shop.post(f"{path}/pay", json=pay, headers={"Prefer": "wait=20"}).raise_for_status().json()
    url: str = paying["attempt"]["action"]["url"]
    return url


def test_the_documentation_is_accessible_and_fits(new_page: Callable[[Look], Page], service: ServiceProcess) -> None:
    page = new_page(PHONE)  # One look is enough for CI: axe-core takes seconds for so long a page.
    page.goto(f"{service.url}/docs")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    check_page(page)


def test_the_page_of_the_simulated_provider_is_accessible_and_fits(
    new_page: Callable[[Look], Page], provider_page_url: str, look: Look
) -> None:
    page = new_page(look)
    page.goto(provider_page_url)
    expect(page.get_by_role("button")).to_have_text(["Approve", "Decline"])
    check_page(page)


@pytest.mark.parametrize("visitor", [PHONE, PHONE_WITHOUT_SCRIPTS], ids=lambda look: look.name)
def test_a_buyer_who_approves_at_the_provider_comes_back_to_the_shop(
    new_page: Callable[[Look], Page], provider_page_url: str, visitor: Look
) -> None:
    page = new_page(visitor)
    page.goto(provider_page_url)
    page.get_by_role("button", name="Approve").click()
    page.wait_for_url("**/docs#paid")
