"""Buyers on the page of a checkout: they pay, are declined, act at the provider, come back, or do not."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.checkouts import Json, Merchant, merchant_of
from tests.browser.judging import check_page, expect_visible_focus
from tests.browser.looks import DESKTOP, PHONE, PHONE_WITHOUT_SCRIPTS, Look
from tests.support.oracle import expire_checkout
from tests.support.service_process import ServiceProcess

NewPage = Callable[[Look], Page]
PAID = "Thank you, your payment has arrived"
DECLINED = "The payment was declined"
NOT_COMPLETE = "Your payment is not complete"
CONFIRMING = "Your payment is being confirmed"

with_and_without_scripts = pytest.mark.parametrize(
    "visitor", [PHONE, PHONE_WITHOUT_SCRIPTS], ids=lambda visitor: visitor.name
)


@pytest.fixture
def merchant(service: ServiceProcess) -> Iterator[Merchant]:
    with merchant_of(service) as merchant:
        yield merchant


def pay(page: Page, method: str) -> None:
    """Choose a payment method on the page, and press the button."""
    page.get_by_label(method).check()
    page.get_by_role("button", name=re.compile("^Pay .*19.99")).click()


def expect_title(page: Page, title: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(title)


@with_and_without_scripts
def test_a_buyer_pays_and_is_led_back_to_the_shop(new_page: NewPage, merchant: Merchant, visitor: Look) -> None:
    checkout = merchant.checkout(successUrl=f"{merchant.shop_url}?order=1")
    page = new_page(visitor)
    page.goto(checkout["url"])
    pay(page, "Test: succeeds")
    expect_title(page, PAID)
    page.wait_for_url("**?order=1")
    assert (merchant.read(checkout)["status"], merchant.charged_times(checkout)) == ("COMPLETED", 1)


def test_a_buyer_who_uses_the_receipt_is_not_led_away_from_it(new_page: NewPage, merchant: Merchant) -> None:
    page = new_page(DESKTOP)
    page.clock.install()
    page.goto(paid_with(merchant, "tok_success", successUrl=f"{merchant.shop_url}?order=1")["url"])
    expect_title(page, PAID)
    page.keyboard.press("Tab")
    page.clock.fast_forward("01:00")
    expect(page.get_by_role("link", name="Back to the shop")).to_be_focused()


@with_and_without_scripts
def test_a_buyer_who_is_declined_pays_with_another_method(new_page: NewPage, merchant: Merchant, visitor: Look) -> None:
    checkout = merchant.checkout()
    page = new_page(visitor)
    page.goto(checkout["url"])
    pay(page, "Test: declined, not enough money")
    expect_title(page, DECLINED)
    expect(page.get_by_role("alert")).to_contain_text("There is not enough money")
    if visitor.has_scripts:
        check_page(page)
    pay(page, "Test: succeeds")
    expect_title(page, PAID)
    assert merchant.charged_times(checkout) == 1


@with_and_without_scripts
def test_a_buyer_approves_3d_secure_and_sees_the_receipt(new_page: NewPage, merchant: Merchant, visitor: Look) -> None:
    checkout = merchant.checkout()
    page = new_page(visitor)
    page.goto(checkout["url"])
    pay(page, "Test: 3-D Secure")
    page.get_by_role("button", name="Approve").click()
    expect_title(page, PAID)
    expect(page.get_by_text(checkout["id"])).to_be_visible()
    assert merchant.charged_times(checkout) == 1


@with_and_without_scripts
def test_a_language_that_the_shop_chose_stays_when_the_provider_sends_the_buyer_back(
    new_page: NewPage, merchant: Merchant, visitor: Look
) -> None:
    page = new_page(visitor)
    page.goto(f"{merchant.checkout()['url']}?lang=sv")
    page.get_by_label("Test: 3-D Secure").check()
    page.get_by_role("button", name=re.compile("19,99")).click()
    page.get_by_role("button", name="Approve").click()
    expect_title(page, "Tack, din betalning har kommit fram")
    assert page.url.endswith("?lang=sv")


@with_and_without_scripts
def test_a_buyer_who_refuses_3d_secure_is_charged_nothing_and_can_pay_again(
    new_page: NewPage, merchant: Merchant, visitor: Look
) -> None:
    checkout = merchant.checkout()
    page = new_page(visitor)
    page.goto(checkout["url"])
    pay(page, "Test: 3-D Secure")
    page.get_by_role("button", name="Decline").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was charged")
    assert merchant.charged_times(checkout) == 0
    pay(page, "Test: succeeds")
    expect_title(page, PAID)


@with_and_without_scripts
def test_a_buyer_who_left_the_providers_page_can_go_back_to_it(
    new_page: NewPage, merchant: Merchant, visitor: Look
) -> None:
    checkout = merchant.checkout()
    page = new_page(visitor)
    page.goto(checkout["url"])
    pay(page, "Test: approve or decline on another page")
    expect(page.get_by_role("button", name="Approve")).to_be_visible()
    page.goto(checkout["url"])
    expect_title(page, NOT_COMPLETE)
    if visitor.has_scripts:
        check_page(page)
    page.get_by_role("link", name="Continue the payment").click()
    page.get_by_role("button", name="Approve").click()
    expect_title(page, PAID)
    assert merchant.charged_times(checkout) == 1


@with_and_without_scripts
def test_a_buyer_who_left_the_providers_page_can_pay_in_another_way(
    new_page: NewPage, merchant: Merchant, visitor: Look
) -> None:
    checkout = merchant.checkout()
    page = new_page(visitor)
    page.goto(checkout["url"])
    pay(page, "Test: approve or decline on another page")
    expect(page.get_by_role("button", name="Approve")).to_be_visible()
    page.goto(checkout["url"])
    page.get_by_role("button", name="Pay in another way").click()
    pay(page, "Test: succeeds")
    expect_title(page, PAID)
    assert merchant.charged_times(checkout) == 1


@with_and_without_scripts
def test_an_unknown_outcome_is_told_and_the_page_shows_the_outcome_when_it_is_known(
    new_page: NewPage, merchant: Merchant, visitor: Look
) -> None:
    checkout = merchant.checkout()
    page = new_page(visitor)
    page.goto(checkout["url"])
    pay(page, "Test: accepted first, succeeds later")
    expect_title(page, CONFIRMING)
    expect(page.get_by_text("We are asking your bank. You are not charged twice.")).to_be_visible()
    expect_title(page, PAID)
    assert merchant.charged_times(checkout) == 1


def test_a_page_that_waits_shows_the_outcome_although_its_script_cannot_be_loaded(
    new_page: NewPage, merchant: Merchant
) -> None:
    def hurry(route: Route) -> None:
        """Shorten the time until the page loads itself again: the test need not wait for it."""
        response = route.fetch()
        headers = {**response.headers, **({"refresh": "1"} if "refresh" in response.headers else {})}
        route.fulfill(response=response, headers=headers)

    checkout = merchant.checkout()
    merchant.http.post(f"/checkouts/{checkout['id']}/pay", json={"paymentMethod": "tok_accepted"}).raise_for_status()
    page = new_page(PHONE)
    page.route("**/pay/*", hurry)
    page.route("**/*.js", lambda route: route.abort())
    page.goto(checkout["url"])
    expect_title(page, CONFIRMING)
    expect_title(page, PAID)


def test_a_double_click_charges_once(new_page: NewPage, merchant: Merchant) -> None:
    checkout = merchant.checkout()
    page = new_page(DESKTOP)
    page.goto(checkout["url"])
    page.get_by_role("button", name="Pay").dblclick()
    expect_title(page, PAID)
    assert (merchant.read(checkout)["attemptsLeft"], merchant.charged_times(checkout)) == (4, 1)


def test_two_tabs_charge_once_and_both_show_it(new_page: NewPage, merchant: Merchant) -> None:
    checkout = merchant.checkout()
    page = new_page(DESKTOP)
    other_tab = page.context.new_page()
    for tab in (page, other_tab):
        tab.goto(checkout["url"])
    for tab in (page, other_tab):
        tab.get_by_role("button", name="Pay").click()
    for tab in (page, other_tab):
        expect_title(tab, PAID)
    assert merchant.charged_times(checkout) == 1


def test_a_buyer_who_reloads_and_walks_back_sees_the_receipt_and_is_charged_once(
    new_page: NewPage, merchant: Merchant
) -> None:
    checkout = merchant.checkout()
    page = new_page(DESKTOP)
    page.goto(checkout["url"])
    pay(page, "Test: succeeds")
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Payment")
    page.reload()
    expect_title(page, PAID)
    page.goto(merchant.shop_url)
    page.go_back()
    expect_title(page, PAID)
    page.go_back()
    expect_title(page, PAID)
    assert merchant.charged_times(checkout) == 1


def test_a_buyer_who_walks_back_from_the_providers_page_is_told_that_the_payment_is_not_complete(
    new_page: NewPage, merchant: Merchant
) -> None:
    checkout = merchant.checkout()
    page = new_page(DESKTOP)
    page.goto(checkout["url"])
    pay(page, "Test: 3-D Secure")
    expect(page.get_by_role("button", name="Approve")).to_be_visible()
    page.go_back()
    expect_title(page, NOT_COMPLETE)


@with_and_without_scripts
def test_a_buyer_pays_with_the_keyboard_alone_and_sees_where_the_focus_is(
    new_page: NewPage, merchant: Merchant, visitor: Look
) -> None:
    checkout = merchant.checkout()
    page = new_page(visitor)
    page.goto(checkout["url"])
    page.keyboard.press("Tab")
    expect(page.get_by_label("Test: succeeds")).to_be_focused()
    expect_visible_focus(page)
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Test: approve or decline on another page")).to_be_checked()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Pay")).to_be_focused()
    expect_visible_focus(page)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Approve")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect_title(page, PAID)


def payable(merchant: Merchant) -> Json:
    return merchant.checkout(description="Two tickets", cancelUrl=merchant.shop_url)


def long_text(merchant: Merchant) -> Json:
    return merchant.checkout(
        amount=99_999_999_999, currency="COP", description=f"{'Donaudampfschifffahrt' * 12}\n<b>bold</b> {'a b ' * 60}"
    )


def right_to_left(merchant: Merchant) -> Json:
    return merchant.checkout(description="שני כרטיסים להצגה של יום ראשון בשעה 20:00", currency="ILS")


def declined(merchant: Merchant) -> Json:
    return paid_with(merchant, "tok_declined_insufficient_funds")


def exhausted(merchant: Merchant) -> Json:
    checkout = payable(merchant)
    for _ in range(5):
        merchant.call(checkout, "pay", paymentMethod="tok_declined_insufficient_funds")
    return checkout


def paid_with(merchant: Merchant, method: str, **fields: object) -> Json:
    checkout = merchant.checkout(description="Two tickets", cancelUrl=merchant.shop_url, **fields)
    merchant.call(checkout, "pay", paymentMethod=method)
    return checkout


def paid(merchant: Merchant) -> Json:
    return paid_with(merchant, "tok_success")


def waiting(merchant: Merchant) -> Json:
    checkout = payable(merchant)
    path = f"/checkouts/{checkout['id']}/pay"
    merchant.http.post(path, json={"paymentMethod": "tok_delay_300000"}).raise_for_status()
    return checkout


def awaiting_buyer(merchant: Merchant) -> Json:
    return paid_with(merchant, "tok_redirect")


def canceled(merchant: Merchant) -> Json:
    checkout = payable(merchant)
    merchant.call(checkout, "cancel")
    return checkout


def expired(merchant: Merchant) -> Json:
    checkout = payable(merchant)
    expire_checkout(merchant.service.database_url, checkout["id"])
    return checkout


def missing(merchant: Merchant) -> Json:
    return {"url": f"{merchant.service.url}/pay/{'0' * 26}"}


STATES = {
    payable: "Payment",
    long_text: "Payment",
    right_to_left: "Payment",
    declined: DECLINED,
    exhausted: DECLINED,
    waiting: CONFIRMING,
    awaiting_buyer: NOT_COMPLETE,
    paid: PAID,
    canceled: "The purchase was canceled",
    expired: "The time to pay is over",
    missing: "There is no such payment",
}


@pytest.mark.parametrize(("state", "title"), STATES.items(), ids=[state.__name__ for state in STATES])
def test_every_state_of_the_page_is_accessible_and_fits(
    new_page: NewPage, merchant: Merchant, look: Look, state: Callable[[Merchant], Json], title: str
) -> None:
    page = new_page(look)
    page.goto(state(merchant)["url"])
    expect_title(page, title)
    check_page(page)
    page.evaluate("() => { document.documentElement.dir = 'rtl' }")
    check_page(page)
