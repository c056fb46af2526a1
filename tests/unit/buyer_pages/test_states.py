"""What the page of a checkout shows in each state, and where it leads."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paidonce.buyer_pages.texts import decline_text
from paidonce.providers.decline_codes import DECLINE_CODES, LOST_OR_STOLEN_CARD, SUSPECTED_FRAUD
from paidonce.providers.evidence import Authorized, ClientSecret, Declined, RequiresAction, Succeeded, Unknown
from tests.support.buyer_pages import BuyerPagesShop, fields_in, title_of
from tests.support.in_process_service import open_in_process_service

SUCCESS = "https://shop.example/thanks?order=1&a='b'"
CANCEL = "https://shop.example/cart"
DAY_SECONDS = 86_400


async def test_a_buyer_who_has_paid_is_led_to_the_success_url(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout(successUrl=SUCCESS, cancelUrl=CANCEL)
    await shop.pay(checkout)
    await shop.prove(checkout, Succeeded("ch_1"))
    page = await shop.page(checkout)
    escaped = SUCCESS.replace("&", "&amp;").replace("'", "&#39;")
    assert f'<meta http-equiv="refresh" content="5; url={escaped}">' in page
    assert f'href="{escaped}"' in page
    assert CANCEL not in page


async def test_without_a_success_url_the_page_is_a_receipt_that_stays(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout(description="Two cups", cancelUrl=CANCEL)
    await shop.pay(checkout)
    await shop.prove(checkout, Succeeded("ch_1"))
    page = await shop.page(checkout)
    assert "http-equiv" not in page
    assert "$10.00" in page
    assert "Two cups" in page
    assert "November 14, 2023" in page
    assert checkout["id"] in page
    assert "@media print" in page


async def test_the_receipt_tells_what_was_refunded(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout()
    await shop.pay(checkout)
    await shop.prove(checkout, Succeeded("ch_1"))
    refund = await shop.running.made(f"/checkouts/{checkout['id']}/refunds", {"amount": 250})
    await shop.running.prove(refund["id"])
    page = await shop.page(checkout)
    assert "Refunded" in page
    assert "$2.50" in page


async def test_the_receipt_tells_what_was_captured_where_more_was_authorized(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout(captureMethod="manual")
    await shop.pay(checkout)
    await shop.prove(checkout, Authorized("ch_1"))
    assert "$10.00" in await shop.page(checkout)
    await shop.running.made(f"/checkouts/{checkout['id']}/capture", {"amount": 300})
    await shop.prove(checkout, Succeeded("ch_2"))
    page = await shop.page(checkout)
    assert page.count("$3.00") == 2
    assert "$10.00" not in page


async def test_an_authorized_amount_is_paid_for_the_buyer(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout(captureMethod="manual", successUrl=SUCCESS)
    await shop.pay(checkout)
    await shop.prove(checkout, Authorized("ch_1"))
    assert title_of(await shop.page(checkout)) == "Thank you, your payment has arrived"
    await shop.running.made(f"/checkouts/{checkout['id']}/capture")
    assert title_of(await shop.page(checkout)) == "Thank you, your payment has arrived"


async def test_a_canceled_checkout_says_so_and_takes_no_payment(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout(cancelUrl=CANCEL)
    form = await shop.form(checkout)
    await shop.running.made(f"/checkouts/{checkout['id']}/cancel")
    assert (await shop.post(checkout, form)).status_code == 303
    page = await shop.page(checkout)
    assert title_of(page) == "The purchase was canceled"
    assert "Nothing was charged." in page
    assert f'content="5; url={CANCEL}"' in page
    assert "<form" not in page
    assert (await shop.now(checkout))["attempt"] is None


@pytest.mark.parametrize("end", ["canceled", "expired", "declined"])
async def test_a_charge_that_was_confirmed_too_late_is_told_as_paid_back_and_not_as_nothing(
    shop: BuyerPagesShop, end: str
) -> None:
    checkout = await shop.checkout()
    await shop.pay(checkout)
    late = (await shop.now(checkout))["attempt"]["id"]
    await shop.prove(checkout, Declined("do_not_honor"))
    if end == "canceled":
        await shop.running.made(f"/checkouts/{checkout['id']}/cancel")
    elif end == "expired":
        shop.running.clock.now += DAY_SECONDS * 1000
        await shop.expire()
    else:
        await shop.pay(checkout)
        await shop.prove(checkout, Declined("expired_card"))
    page = await shop.page(checkout)
    assert ("Nothing was charged." in page, "paid back" in page) == (True, False)
    await shop.running.prove(late)
    page = await shop.page(checkout)
    assert ("Nothing was charged." in page, "paid back" in page) == (False, True)


async def test_of_an_authorization_that_was_confirmed_too_late_and_is_released_nothing_was_charged(
    shop: BuyerPagesShop,
) -> None:
    checkout = await shop.checkout(captureMethod="manual")
    await shop.pay(checkout)
    await shop.prove(checkout, Declined("do_not_honor"))
    await shop.running.made(f"/checkouts/{checkout['id']}/cancel")
    await shop.prove(checkout, Authorized("ch_1"))
    assert "Nothing was charged." in await shop.page(checkout)


@pytest.mark.parametrize("swept", [True, False])
async def test_an_expired_checkout_says_so_and_takes_no_payment(shop: BuyerPagesShop, *, swept: bool) -> None:
    checkout = await shop.checkout(cancelUrl=CANCEL)
    form = await shop.form(checkout)
    shop.running.clock.now += DAY_SECONDS * 1000
    if swept:
        await shop.expire()
    assert (await shop.post(checkout, form)).status_code == 303
    page = await shop.page(checkout)
    assert title_of(page) == "The time to pay is over"
    assert "<form" not in page
    assert f'href="{CANCEL}"' in page
    assert (await shop.now(checkout))["attempt"] is None


async def test_after_the_last_attempt_the_page_sends_the_buyer_to_the_shop(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout(cancelUrl=CANCEL)
    forms = []
    for _ in range(5):
        forms.append(await shop.form(checkout))
        await shop.post(checkout, forms[-1])
        await shop.prove(checkout, Declined("expired_card"))
    page = await shop.page(checkout)
    assert "There are no attempts left." in page
    assert "<form" not in page
    for form in [*forms, forms[0] | {"attempt": "5"}]:
        assert (await shop.post(checkout, form)).status_code == 303
    assert (await shop.now(checkout))["status"] == "FAILED"


async def test_a_payment_in_the_shops_own_fields_goes_on_in_the_shop(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout(cancelUrl=CANCEL)
    await shop.pay(checkout)
    await shop.prove(checkout, RequiresAction("pi_1", ClientSecret("pi_1_secret_2", "http://paidonce/return/x")))
    page = await shop.page(checkout)
    assert title_of(page) == "Your payment goes on in the shop"
    assert "pi_1_secret_2" not in page
    assert f'href="{CANCEL}"' in page


async def test_a_page_that_waits_loads_itself_again_without_a_script_soon_at_first_and_rarely_later(
    shop: BuyerPagesShop,
) -> None:
    checkout = await shop.checkout()
    await shop.pay(checkout)
    seconds = []
    for _ in range(3):
        page = await shop.page(checkout)
        found = page.partition('<noscript><meta http-equiv="refresh" content="')[2].partition('"')[0]
        seconds.append(int(found))
        shop.running.clock.now += 200_000
    assert seconds == [2, 10, 30]


async def test_a_payment_that_needs_review_is_still_being_asked_about(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout()
    await shop.pay(checkout)
    await shop.prove(checkout, Unknown("a time-out"))
    page = await shop.page(checkout)
    assert "You are not charged twice." in page
    assert "<form" not in page


def test_every_decline_code_has_words_and_fraud_is_told_like_any_refusal() -> None:
    assert all(decline_text(code) for code in DECLINE_CODES)
    refusals = {decline_text(code) for code in (SUSPECTED_FRAUD, LOST_OR_STOLEN_CARD, "do_not_honor", "no_such", None)}
    assert refusals == {"Your bank did not approve this payment."}


@pytest.fixture
async def live_shop(migrated_sqlite_url: str, tmp_path: Path) -> AsyncIterator[BuyerPagesShop]:
    async with open_in_process_service(migrated_sqlite_url, str(tmp_path), auth="off") as running:
        yield BuyerPagesShop(running)


async def test_in_live_mode_nothing_is_simulated_and_a_buyer_whom_no_account_serves_is_sent_to_the_shop(
    live_shop: BuyerPagesShop,
) -> None:
    checkout = await live_shop.checkout(merchantId="m1", mode="live", cancelUrl=CANCEL)
    page = await live_shop.page(checkout)
    assert title_of(page) == "This purchase cannot be paid here"
    assert "Test mode" not in page
    assert "<form" not in page
    assert f'href="{CANCEL}"' in page
    await live_shop.post(checkout, {"attempt": "0", "method": "tok_success"})
    assert (await live_shop.now(checkout))["status"] == "PENDING"
    assert fields_in(page) == {}
