"""People on the dashboard: every page in every look, and what they do there, with and without scripts."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from paidonce.dashboard.declarations import Declaration
from paidonce.dashboard.routes import DECLARATIONS
from tests.browser.checkouts import merchant_of
from tests.browser.judging import check_page, expect_visible_focus
from tests.browser.looks import DESKTOP, PHONE, WITHOUT_SCRIPTS, Look
from tests.browser.people import PASSWORD, People, log_in
from tests.support.service_process import ServiceProcess, wait_until

NewPage = Callable[..., Page]

# A file, and pages that nobody sees while they are logged in.
NO_PAGES = {
    "/m/{merchant_id}/{mode}/payments/export",
    "/m/{merchant_id}/{mode}/events/stream",
    "/login/code",
    "/login/{token}",
    "",
}
PAGES = [one for one in DECLARATIONS if one.method == "GET" and one.path not in NO_PAGES]

with_and_without_scripts = pytest.mark.parametrize(
    "visitor", [DESKTOP, WITHOUT_SCRIPTS], ids=lambda visitor: visitor.name
)


@pytest.mark.parametrize("declared", PAGES, ids=[one.path for one in PAGES])
def test_every_page_is_accessible_and_fits(
    new_page: NewPage, people: People, declared: Declaration, look: Look
) -> None:
    page = new_page(look, people.session("operator"))
    answer = page.goto(people.url(declared.path))
    assert answer is not None
    assert answer.status == 200
    check_page(page)


@with_and_without_scripts
def test_a_person_logs_in_with_a_link_once_and_then_with_the_password(
    new_page: NewPage, people: People, visitor: Look
) -> None:
    email = f"link-{visitor.name.replace(' ', '-')}@example.com"
    link = people.new_link(email, "viewer")
    page = new_page(visitor)
    page.goto(link)
    if visitor.has_scripts:
        check_page(page)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("link", name=email)).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("You are logged out.")).to_be_visible()
    page.goto(link)
    expect(page.get_by_label("Password")).to_have_count(0)
    page.goto(people.url("/login"))
    log_in(page, email, "not the password")
    expect(page.get_by_role("alert")).to_be_visible()
    if visitor.has_scripts:
        check_page(page)
    log_in(page, email, PASSWORD)
    expect(page.get_by_role("link", name=email)).to_be_visible()


@with_and_without_scripts
def test_a_person_finds_a_payment_and_refunds_a_part_of_it_once(
    new_page: NewPage, service: ServiceProcess, people: People, visitor: Look
) -> None:
    with merchant_of(service, people.shown.merchant_id) as merchant:
        checkout = merchant.checkout(description=f"Order of {visitor.name}")
        merchant.call(checkout, "pay")
        page = new_page(visitor, people.session("refunds"))
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(people.url("/m/{merchant_id}/{mode}/payments"))
        page.get_by_label("Search").fill(checkout["id"])
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_role("table").get_by_role("link")).to_have_count(1)
        page.get_by_role("table").get_by_role("link").click()
        page.get_by_role("group").filter(has_text="Refund").locator("summary").click()
        page.get_by_label("Amount").fill("5.00")
        page.get_by_role("button", name=re.compile("^Refund")).click()
        expect(page.get_by_role("status")).to_have_text("The refund of €5.00 began.")
        wait_until(lambda: merchant.read(checkout)["amountRefunded"] == 500)
        page.go_back()
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert merchant.read(checkout)["amountRefundPending"] == 0


HIDE_OR_SHOW = """hidden => {
    Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.mark.parametrize("was_away", [False, True], ids=["a new page", "a page to which somebody comes back"])
def test_what_happens_between_reading_a_page_and_its_live_updates_is_shown(
    new_page: NewPage, service: ServiceProcess, people: People, *, was_away: bool
) -> None:
    with merchant_of(service, people.shown.merchant_id) as merchant:
        checkout = merchant.checkout()
        merchant.call(checkout, "pay")
        wait_until(lambda: merchant.read(checkout)["status"] == "COMPLETED")
        page = new_page(DESKTOP, people.session("viewer"))

        def refund_before_the_stream_begins(stream: Route) -> None:
            merchant.call(checkout, "refunds", amount=500)
            wait_until(lambda: merchant.read(checkout)["amountRefunded"] == 500)
            stream.continue_()

        if not was_away:
            page.route("**/events/stream**", refund_before_the_stream_begins, times=1)
        page.goto(people.url(f"/m/{{merchant_id}}/{{mode}}/payments/{checkout['id']}"))
        if was_away:
            page.evaluate(HIDE_OR_SHOW, True)  # noqa: FBT003 - Playwright's own signature
            page.route("**/events/stream**", refund_before_the_stream_begins, times=1)
            page.evaluate(HIDE_OR_SHOW, False)  # noqa: FBT003 - as above
        expect(page.get_by_role("main")).to_contain_text(re.compile(r"Refunded\s*€5\.00"))


@with_and_without_scripts
def test_a_step_that_is_not_possible_cannot_be_pressed(new_page: NewPage, people: People, visitor: Look) -> None:
    page = new_page(visitor, people.session("refunds"))
    page.goto(people.url("/m/{merchant_id}/{mode}/payments/{checkout_id}"))
    expect(page.get_by_text("It is paid. Refund it instead.")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel the payment")).to_be_disabled()


def test_the_keyboard_alone_leads_through_the_log_in_and_the_first_key_after_it_offers_to_skip_to_the_content(
    new_page: NewPage, people: People
) -> None:
    page = new_page(DESKTOP)
    link = people.new_link("keyboard@example.com", "viewer")
    page.goto(link)
    page.get_by_label("Password").focus()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="keyboard@example.com")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect_visible_focus(page)


def test_a_page_that_does_not_exist_and_one_that_is_not_allowed_are_accessible(
    new_page: NewPage, people: People
) -> None:
    page = new_page(PHONE, people.session("viewer"))
    for path in ("/nothing", "/operator/merchants"):
        page.goto(people.url(path))
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        check_page(page)
