"""Where a buyer is sent who comes back from a provider, where the checkout has a page."""

from typing import Final

import pytest

from paidonce.payments import return_http
from paidonce.providers.evidence import Declined, Evidence, Redirect, RequiresAction, Succeeded
from tests.support.buyer_pages import BuyerPagesShop
from tests.support.in_process_service import Json

URLS: Final = {"successUrl": "https://shop.example/thanks", "cancelUrl": "https://shop.example/cart"}
WAITING: Final = RequiresAction("ses_1", Redirect("https://provider.example/pay/1"))


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(return_http, "WAIT_SECONDS", 0)


async def begin(shop: BuyerPagesShop, evidence: Evidence, urls: Json) -> tuple[Json, str]:
    """Pay a checkout at a provider, which tells this; returns it, and where the buyer comes back."""
    checkout = await shop.checkout(**urls)
    await shop.running.made(f"/checkouts/{checkout['id']}/pay", {"paymentMethod": "tok_redirect"})
    await shop.prove(checkout, evidence)
    (return_url,) = [
        value
        for row in shop.running.rows()["attempt"]
        for value in row
        if checkout["id"] in row and isinstance(value, str) and "/return/" in value
    ]
    return checkout, return_url


@pytest.mark.parametrize(
    ("evidence", "urls", "place"),
    [
        (Succeeded("ch_1"), URLS, URLS["successUrl"]),
        (Succeeded("ch_1"), {}, None),
        (Declined("expired_card"), URLS, None),
        (WAITING, URLS, None),
    ],
)
async def test_a_buyer_is_sent_to_the_shop_who_has_paid_and_to_the_page_who_may_still_pay(
    shop: BuyerPagesShop, evidence: Evidence, urls: Json, place: str | None
) -> None:
    checkout, return_url = await begin(shop, evidence, urls)
    response = await shop.http.get(return_url)
    page = checkout["url"].removeprefix("http://paidonce")
    assert (response.status_code, response.headers["location"]) == (303, place or page)
    assert response.headers["referrer-policy"] == "no-referrer"


async def test_a_buyer_who_can_pay_no_more_is_sent_back_to_the_cart(shop: BuyerPagesShop) -> None:
    checkout, return_url = await begin(shop, Declined("expired_card"), URLS)
    await shop.running.made(f"/checkouts/{checkout['id']}/cancel")
    assert (await shop.http.get(return_url)).headers["location"] == URLS["cancelUrl"]


async def test_a_buyer_who_comes_back_to_the_page_keeps_the_language_of_the_link(shop: BuyerPagesShop) -> None:
    checkout, return_url = await begin(shop, Declined("expired_card"), {})
    place = (await shop.http.get(f"{return_url}?lang=de")).headers["location"]
    assert place == f"{checkout['url'].removeprefix('http://paidonce')}?lang=de"


async def test_a_return_that_nobody_was_given_is_not_found(shop: BuyerPagesShop) -> None:
    response = await shop.http.get(f"/return/{'x' * 32}")
    assert (response.status_code, response.json()["code"]) == (404, "checkout_not_found")
