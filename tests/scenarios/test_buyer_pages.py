"""A buyer pays on the page of a checkout, of a running service: however they press, they are charged once."""

import asyncio
import re
from html import unescape
from typing import Final

import httpx
import pytest

from tests.support.buyer_pages import fields_in, title_of
from tests.support.merchant_client import PAYMENT_SECONDS_MAX, Json, MerchantClient, at_once
from tests.support.oracle import attempts_of, charges_of, violated_invariants
from tests.support.service_process import ServiceProcess

PRESSES: Final = 1000
EVENTS: Final = re.compile(r'data-events="([^"]*)"')
THANKS: Final = "Thank you, your payment has arrived"


async def create(shop: MerchantClient, **fields: object) -> Json:
    checkout: Json = (await shop.create(None, **fields)).json()
    return checkout


async def open_page(shop: MerchantClient, url: str) -> str:
    page = await shop.http.get(url)
    assert page.status_code == 200
    return page.text


async def press(shop: MerchantClient, url: str, form: dict[str, str], **chosen: str) -> httpx.Response:
    answer = await shop.http.post(url, data=form | chosen)
    assert answer.status_code == 303, answer.text
    return answer


async def wait_on_page(shop: MerchantClient, url: str) -> str:
    """Wait on the page as its script does, until it shows an outcome; returns it."""
    async with asyncio.timeout(PAYMENT_SECONDS_MAX):
        while (waiting := EVENTS.search(page := await open_page(shop, url))) is not None:
            stream = await shop.http.get(unescape(waiting[1]))
            assert stream.headers["content-type"].startswith("text/event-stream")
    return page


@pytest.mark.postgresql_in_prove
async def test_a_thousand_presses_at_once_are_one_attempt_and_one_charge(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout = await create(shop)
        form = fields_in(await open_page(shop, checkout["url"]))
        await at_once(press(shop, checkout["url"], form) for _ in range(PRESSES))
        assert (await shop.ended(checkout["id"]))["status"] == "COMPLETED"
        await press(shop, checkout["url"], form)
        assert title_of(await open_page(shop, checkout["url"])) == THANKS
    assert len(attempts_of(service.database_url, [checkout["id"]])) == 1
    assert len(charges_of(service.books, checkout["id"])) == 1
    assert violated_invariants(service.database_url, service.books, of_merchant=shop.merchant_id) == []


async def test_two_tabs_with_two_methods_are_one_charge(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout = await create(shop)
        tabs = [fields_in(await open_page(shop, checkout["url"])) for _ in range(2)]
        methods = ["tok_success", "tok_timeout_then_success"]
        for tab, method in zip(tabs, methods, strict=True):
            await press(shop, checkout["url"], tab, method=method)
        assert (await shop.ended(checkout["id"]))["status"] == "COMPLETED"
    assert len(charges_of(service.books, checkout["id"])) == 1


async def test_after_a_decline_the_old_form_charges_nothing_and_the_new_one_does(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout = await create(shop)
        old = fields_in(await open_page(shop, checkout["url"]))
        await press(shop, checkout["url"], old, method="tok_declined_insufficient_funds")
        assert (await shop.ended(checkout["id"]))["status"] == "FAILED"
        await press(shop, checkout["url"], old, method="tok_success")  # Walked back to, and pressed again.
        assert (await shop.get(checkout["id"]))["status"] == "FAILED"
        await press(shop, checkout["url"], fields_in(await open_page(shop, checkout["url"])))
        assert (await shop.ended(checkout["id"]))["status"] == "COMPLETED"
    assert len(attempts_of(service.database_url, [checkout["id"]])) == 2
    assert len(charges_of(service.books, checkout["id"])) == 1


async def test_a_buyer_who_approves_on_the_providers_page_comes_back_to_a_receipt(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout = await create(shop)
        form = fields_in(await open_page(shop, checkout["url"]))
        provider_page = (await press(shop, checkout["url"], form, method="tok_redirect")).headers["location"]
        assert (await shop.http.get(provider_page)).status_code == 200
        back = await shop.http.post(f"{provider_page}/approve")
        returned = await shop.http.get(back.headers["location"])
        assert (returned.status_code, returned.headers["location"]) == (303, httpx.URL(checkout["url"]).path)
        assert (await shop.ended(checkout["id"]))["status"] == "COMPLETED"
        assert title_of(await open_page(shop, checkout["url"])) == THANKS


async def test_a_buyer_who_leaves_the_providers_page_can_pay_in_another_way(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout = await create(shop, cancelUrl="https://shop.example/cart")
        form = fields_in(await open_page(shop, checkout["url"]))
        provider_page = (await press(shop, checkout["url"], form, method="tok_3ds")).headers["location"]
        page = await open_page(shop, checkout["url"])
        assert provider_page in unescape(page)
        assert (await press(shop, checkout["url"], form, method="tok_success")).headers["location"] == provider_page
        await press(shop, checkout["url"], fields_in(page), replace="1")
        page = await wait_on_page(shop, checkout["url"])
        assert title_of(page) == "Your payment is not complete"
        await press(shop, checkout["url"], fields_in(page))
        assert (await shop.ended(checkout["id"]))["status"] == "COMPLETED"
    assert len(charges_of(service.books, checkout["id"])) == 1


async def test_a_page_that_waits_is_told_of_the_outcome_as_it_happens(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout = await create(shop)
        await press(shop, checkout["url"], fields_in(await open_page(shop, checkout["url"])))
        assert title_of(await wait_on_page(shop, checkout["url"])) == THANKS
        assert (await shop.get(checkout["id"]))["status"] == "COMPLETED"


async def test_no_token_of_a_page_is_in_the_output_of_the_service(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout = await create(shop)
        await press(shop, checkout["url"], fields_in(await open_page(shop, checkout["url"])))
        await shop.ended(checkout["id"])
        events = await shop.http.get("/events", params={"merchantId": shop.merchant_id})
        timeline = await shop.http.get(f"/checkouts/{checkout['id']}/timeline")
    token = checkout["url"].rpartition("/")[2]
    assert token not in events.text + timeline.text
    assert not any(token in line for line in service.lines)
