"""What a buyer sees who comes back from a provider, where the checkout has no page of its own."""

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Final

import httpx
import pytest

from paidonce.checkouts.model import ATTEMPTS_MAX
from paidonce.clock import DAY_MS
from paidonce.pages.languages import CODES
from paidonce.payments import return_http
from paidonce.providers.evidence import (
    Authorized,
    ClientSecret,
    Declined,
    Evidence,
    Redirect,
    RequiresAction,
    Succeeded,
    Unknown,
)
from tests.support.buyer_pages import BuyerPagesShop, title_of
from tests.support.in_process_service import Json, open_in_process_service

CANCEL: Final = "https://shop.example/cart"
PROVIDER_PAGE: Final = "https://provider.example/pay/1"
ON_PROVIDERS_PAGE: Final = RequiresAction("ses_1", Redirect(PROVIDER_PAGE))
IN_SHOPS_FIELDS: Final = RequiresAction("ses_1", ClientSecret("pi_1_secret_2"))
# The heading in each language where a payment was declined.
TITLES: Final = {
    "en": "The payment was declined",
    "de": "Zahlung abgelehnt",
    "fr": "Paiement refusé",
    "es": "Pago rechazado",
    "it": "Pagamento rifiutato",
    "nl": "Betaling geweigerd",
    "pt": "Pagamento recusado",
    "pl": "Płatność odrzucona",
    "sv": "Betalningen nekades",
    "ja": "お支払いが承認されませんでした",
}


@pytest.fixture
async def shop(
    migrated_sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[BuyerPagesShop]:
    """Open a service whose checkouts have no pages, and where nobody waits for the provider."""
    monkeypatch.setattr(return_http, "WAIT_SECONDS", 0)
    async with open_in_process_service(migrated_sqlite_url, str(tmp_path), checkout_page="off") as running:
        yield BuyerPagesShop(running)


async def returned(
    shop: BuyerPagesShop, evidence: Evidence, fields: Json | None = None, *, language: str = "en"
) -> httpx.Response:
    """Come back from the provider, which has told this."""
    checkout = await shop.checkout(**fields or {})
    await shop.running.made(f"/checkouts/{checkout['id']}/pay", {"paymentMethod": "tok_redirect"})
    await shop.prove(checkout, evidence)
    return await come_back(shop, checkout, language)


async def come_back(shop: BuyerPagesShop, checkout: Json, language: str = "en") -> httpx.Response:
    attempt_id = (await shop.now(checkout))["attempt"]["id"]
    (return_url,) = (
        value
        for row in shop.running.rows()["attempt"]
        if attempt_id in row
        for value in row
        if isinstance(value, str) and "/return/" in value
    )
    return await shop.http.get(return_url, headers={"Accept-Language": language})


def links(page: httpx.Response) -> list[str]:
    return [unescape(one) for one in re.findall(r'<a href="([^"]*)">', page.text)]


@pytest.mark.parametrize("code", CODES)
async def test_a_buyer_who_comes_back_reads_the_page_in_their_language(shop: BuyerPagesShop, code: str) -> None:
    page = await returned(shop, Declined("expired_card"), language=code)
    assert page.status_code == 200
    assert f'<html lang="{code}"' in page.text
    assert title_of(page.text) == TITLES[code]
    assert page.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("evidence", "fields", "title"),
    [
        (Succeeded("ch_1"), {}, "Thank you, your payment has arrived"),
        (Authorized("ch_1"), {"captureMethod": "manual"}, "Thank you, your payment has arrived"),
        (Declined("expired_card"), {}, "The payment was declined"),
        (IN_SHOPS_FIELDS, {}, "Your payment goes on in the shop"),
    ],
)
async def test_the_page_tells_where_the_payment_stands(
    shop: BuyerPagesShop, evidence: Evidence, fields: Json, title: str
) -> None:
    page = await returned(shop, evidence, fields)
    assert (page.status_code, title_of(page.text), links(page)) == (200, title, [])
    assert "http-equiv" not in page.text


async def test_while_the_outcome_is_unknown_the_page_loads_itself_again(shop: BuyerPagesShop) -> None:
    page = await returned(shop, Unknown("a 500"))
    assert title_of(page.text) == "Your payment is being confirmed"
    assert '<meta http-equiv="refresh" content="2">' in page.text


async def test_a_buyer_who_has_not_finished_can_continue_or_go_back_to_the_shop(shop: BuyerPagesShop) -> None:
    page = await returned(shop, ON_PROVIDERS_PAGE, {"cancelUrl": CANCEL})
    assert title_of(page.text) == "Your payment is not complete"
    assert links(page) == [PROVIDER_PAGE, CANCEL]


async def test_a_checkout_that_has_ended_meanwhile_says_so(shop: BuyerPagesShop) -> None:
    canceled, expired = [await shop.checkout() for _ in range(2)]
    for checkout in (canceled, expired):
        await shop.running.made(f"/checkouts/{checkout['id']}/pay", {"paymentMethod": "tok_redirect"})
        await shop.prove(checkout, Declined("expired_card"))
    await shop.running.made(f"/checkouts/{canceled['id']}/cancel")
    assert title_of((await come_back(shop, canceled)).text) == "The purchase was canceled"
    shop.running.clock.now += DAY_MS
    assert title_of((await come_back(shop, expired)).text) == "The time to pay is over"


async def test_after_the_last_attempt_the_page_says_that_there_are_none_left(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout()
    for _ in range(ATTEMPTS_MAX):
        await shop.running.made(f"/checkouts/{checkout['id']}/pay", {"paymentMethod": "tok_redirect"})
        await shop.prove(checkout, Declined("expired_card"))
    page = await come_back(shop, checkout)
    assert title_of(page.text) == "The payment was declined"
    assert "There are no attempts left." in page.text


async def test_a_charge_that_was_confirmed_too_late_is_told_as_paid_back(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout()
    await shop.running.made(f"/checkouts/{checkout['id']}/pay", {"paymentMethod": "tok_redirect"})
    await shop.prove(checkout, Declined("buyer_declined"))
    await shop.running.made(f"/checkouts/{checkout['id']}/cancel")
    assert "Nothing was charged." in (await come_back(shop, checkout)).text
    await shop.prove(checkout, Succeeded("ch_1"))
    page = (await come_back(shop, checkout)).text
    assert ("Nothing was charged." in page, "paid back" in page) == (False, True)
