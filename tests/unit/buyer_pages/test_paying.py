"""A buyer pays on the page of a checkout: once, however often the form is sent."""

import asyncio
from pathlib import Path

import pytest

from paidonce.providers.evidence import Declined, Redirect, RequiresAction, Succeeded, Unknown
from tests.support.buyer_pages import BuyerPagesShop, title_of
from tests.support.in_process_service import open_in_process_service

SUCCEEDED = Succeeded("ch_1")
DECLINED = Declined("insufficient_funds")
PROVIDER_PAGE = "https://provider.example/pay/ses_1?a=1&b=2"
AWAITS_BUYER = RequiresAction("ses_1", Redirect(PROVIDER_PAGE))


async def test_a_buyer_pays_on_the_page_and_sees_what_happens(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout(description="Two cups")
    page = await shop.page(checkout)
    assert "Two cups" in page
    assert "Test mode" in page
    paying = await shop.pay(checkout, method="tok_success")
    assert (paying.status_code, paying.headers["location"]) == (303, checkout["url"].removeprefix("http://paidonce"))
    assert title_of(await shop.page(checkout)) == "Your payment is being confirmed"
    await shop.prove(checkout, SUCCEEDED)
    receipt = await shop.page(checkout)
    assert title_of(receipt) == "Thank you, your payment has arrived"
    assert checkout["id"] in receipt
    assert (await shop.now(checkout))["status"] == "COMPLETED"


async def test_the_url_of_a_checkout_is_the_same_at_every_read_and_holds_no_id(shop: BuyerPagesShop) -> None:
    body = {"amount": 1000, "currency": "USD", "idempotencyKey": "the-same"}
    created, replayed = [await shop.running.made("/checkouts", body) for _ in range(2)]
    listed = (await shop.running.get("/checkouts")).json()["data"][0]
    paying = await shop.running.made(f"/checkouts/{created['id']}/pay")
    urls = {one["url"] for one in (created, replayed, listed, paying, await shop.now(created))}
    assert len(urls) == 1
    assert created["id"].partition("_")[2] not in created["url"]
    assert (await shop.checkout())["url"] not in urls


async def test_a_form_that_is_sent_again_joins_the_payment_under_way(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout()
    form = await shop.form(checkout)
    for method in ("tok_success", "tok_success", "tok_3ds"):
        assert (await shop.post(checkout, form | {"method": method})).status_code == 303
    assert await shop.attempts(checkout) == 1
    assert (await shop.now(checkout))["status"] == "PROCESSING"


async def test_after_a_decline_only_a_form_that_was_shown_since_starts_another_payment(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout()
    old = await shop.form(checkout)
    await shop.post(checkout, old)
    await shop.prove(checkout, DECLINED)
    assert (await shop.post(checkout, old)).status_code == 303
    assert (await shop.now(checkout))["status"] == "FAILED"
    page = await shop.page(checkout)
    assert title_of(page) == "The payment was declined"
    assert "not enough money" in page
    assert "4 attempts left" in page
    await shop.pay(checkout)
    assert (await shop.now(checkout))["status"] == "PROCESSING"
    assert await shop.attempts(checkout) == 2


@pytest.mark.parametrize("count", ["", "-1", "1", "7", "x", "1e1", "9" * 40])
async def test_a_form_with_another_number_of_attempts_starts_nothing(shop: BuyerPagesShop, count: str) -> None:
    checkout = await shop.checkout()
    form = await shop.form(checkout)
    assert (await shop.post(checkout, form | {"attempt": count})).status_code == 303
    assert (await shop.now(checkout))["status"] == "PENDING"


async def test_presses_at_once_make_one_attempt(migrated_database_url: str, tmp_path: Path) -> None:
    async with open_in_process_service(migrated_database_url, str(tmp_path)) as running:
        shop = BuyerPagesShop(running)
        checkout = await shop.checkout()
        form = await shop.form(checkout)
        answers = await asyncio.gather(*(shop.post(checkout, form) for _ in range(100)))
        assert {answer.status_code for answer in answers} == {303}
        assert await shop.attempts(checkout) == 1
        await shop.prove(checkout, DECLINED)
        answers = await asyncio.gather(*(shop.post(checkout, form) for _ in range(20)))
        assert await shop.attempts(checkout) == 1
        assert (await shop.now(checkout))["status"] == "FAILED"


async def test_a_buyer_who_must_act_is_sent_to_the_providers_page_as_often_as_they_press(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout()
    form = await shop.form(checkout) | {"method": "tok_redirect"}
    pressing = asyncio.create_task(shop.post(checkout, form))
    await shop.until_begun(checkout)
    await shop.prove(checkout, AWAITS_BUYER)
    other_way = await shop.post(checkout, form | {"method": "tok_success"})  # From the same form: it joins.
    for answer in (await pressing, await shop.post(checkout, form), other_way):
        assert (answer.status_code, answer.headers["location"]) == (303, PROVIDER_PAGE)
        assert (answer.headers["referrer-policy"], answer.headers["cache-control"]) == ("no-referrer", "no-store")
    page = await shop.page(checkout)
    assert title_of(page) == "Your payment is not complete"
    assert PROVIDER_PAGE.replace("&", "&amp;") in page


async def test_a_buyer_may_pay_in_another_way_once_the_session_is_closed(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout()
    pressing = asyncio.create_task(shop.pay(checkout, method="tok_redirect"))
    await shop.until_begun(checkout)
    await shop.prove(checkout, AWAITS_BUYER)
    await pressing
    wish = {"attempt": "1", "replace": "1"}
    wished = await shop.post(checkout, wish)
    timeline = (await shop.running.get(f"/checkouts/{checkout['id']}/timeline")).json()["data"]
    assert timeline[-1]["requestId"] == wished.headers["x-request-id"]
    assert title_of(await shop.page(checkout)) == "Your payment is being confirmed"
    await shop.prove(checkout, Declined("session_closed"))
    for _ in range(2):  # The wish is a form that asks for no payment, however late it comes.
        await shop.post(checkout, wish)
        page = await shop.page(checkout)
        assert title_of(page) == "Your payment is not complete"
    assert await shop.attempts(checkout) == 1
    await shop.pay(checkout)
    assert await shop.attempts(checkout) == 2


async def test_the_wish_to_pay_in_another_way_concerns_the_attempt_that_was_shown(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout()
    await shop.pay(checkout)
    await shop.prove(checkout, DECLINED)
    pressing = asyncio.create_task(shop.pay(checkout, method="tok_redirect"))
    await shop.until_begun(checkout, after="FAILED")
    await shop.prove(checkout, AWAITS_BUYER)
    await pressing
    await shop.post(checkout, {"attempt": "1", "replace": "1"})
    assert PROVIDER_PAGE.replace("&", "&amp;") in await shop.page(checkout)
    await shop.post(checkout, {"attempt": "2", "replace": "1"})
    assert title_of(await shop.page(checkout)) == "Your payment is being confirmed"


async def test_the_url_begins_as_the_setting_says_or_else_as_the_client_reached_the_service(
    migrated_sqlite_url: str, tmp_path: Path
) -> None:
    body = {"amount": 1000, "currency": "USD", "idempotencyKey": "k"}
    for public_url, begins in (("", "http://paidonce/pay/"), ("https://pay.example/x/", "https://pay.example/x/pay/")):
        async with open_in_process_service(migrated_sqlite_url, str(tmp_path), public_url=public_url) as running:
            assert (await running.made("/checkouts", body))["url"].startswith(begins)


async def test_an_unknown_outcome_is_told_as_what_it_is(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout()
    await shop.pay(checkout)
    assert "asking your bank" not in await shop.page(checkout)
    await shop.prove(checkout, Unknown("a time-out"))
    assert "We are asking your bank. You are not charged twice." in await shop.page(checkout)
