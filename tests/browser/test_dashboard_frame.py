"""The dashboard's frame: log-in, account, users and audit log, with and without the script."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Dialog, Page, expect

from tests.browser.checkouts import merchant_of
from tests.browser.judging import check_page
from tests.browser.looks import DESKTOP, WITHOUT_SCRIPTS, Look
from tests.browser.people import People
from tests.support.service_process import ServiceProcess


@pytest.fixture
def open_page(new_page: Callable[..., Page], service: ServiceProcess, people: People) -> Callable[[Look, str], Page]:
    """Open a page of the dashboard as the operator."""

    def open_as_operator(look: Look, path: str) -> Page:
        page = new_page(look, people.session("operator"))
        page.goto(f"{service.url}/dashboard{path}")
        return page

    return open_as_operator


def test_the_log_in_is_accessible_and_fits_also_when_it_refuses(
    new_page: Callable[[Look], Page], service: ServiceProcess, look: Look
) -> None:
    page = new_page(look)
    page.goto(f"{service.url}/dashboard/account")
    expect(page).to_have_url(re.compile("login"))
    check_page(page)
    page.get_by_label("E-mail address").fill("nobody@example.com")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("The e-mail address or the password is wrong.")
    check_page(page)


def test_a_user_is_created_and_disabled_with_and_without_the_script(open_page: Callable[[Look, str], Page]) -> None:
    for look in (DESKTOP, WITHOUT_SCRIPTS):
        page = open_page(look, "/operator/users")
        asked: list[str] = []

        def accept(dialog: Dialog, asked: list[str] = asked) -> None:
            asked.append(dialog.message)
            dialog.accept()

        page.on("dialog", accept)
        email = f"created-{look.name.replace(' ', '-')}@example.com"
        page.get_by_label("E-mail address").fill(email)
        page.get_by_label("Role", exact=True).last.select_option("operator")
        page.get_by_role("button", name="Create").click()
        expect(page.get_by_role("status")).to_contain_text("/dashboard/login/")
        row = page.get_by_role("row").filter(has_text=email)
        row.get_by_text("Change").first.click()
        row.get_by_role("button", name="Disable").click()
        expect(page.get_by_role("status")).to_contain_text("is disabled")
        assert asked == ([f"Disable: {email}?"] if look.has_scripts else [])


def test_a_filter_loads_only_the_table_and_keeps_the_history_and_the_focus(
    open_page: Callable[[Look, str], Page],
) -> None:
    page = open_page(DESKTOP, "/operator/audit")
    page.evaluate("document.querySelector('h1').dataset.kept = 'yes'")
    page.get_by_label("Merchant").fill("m_nobody")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("Nothing was done yet.")).to_be_visible()
    expect(page).to_have_url(re.compile(r"\?merchantId=m_nobody$"))
    assert page.locator("h1").get_attribute("data-kept") == "yes"
    expect(page.locator("#audit")).to_be_focused()
    page.go_back()
    expect(page.get_by_text("Nothing was done yet.")).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/audit$"))


def test_the_keyboard_alone_leads_past_the_navigation(open_page: Callable[[Look, str], Page]) -> None:
    page = open_page(DESKTOP, "/account")
    page.evaluate("document.querySelector('h1').dataset.kept = 'yes'")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.get_by_text("Skip to the content").press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("main :focus")).to_have_count(1)
    assert page.locator("h1").get_attribute("data-kept") == "yes", "The page was loaded again."


@pytest.mark.parametrize("path", ["/payments", "/events"])
def test_what_happens_is_shown_at_once_where_a_page_is_live(
    open_page: Callable[[Look, str], Page], service: ServiceProcess, path: str
) -> None:
    with merchant_of(service, f"m_live_{path[1:]}") as merchant:
        merchant.checkout()
        page = open_page(DESKTOP, f"/m/{merchant.merchant_id}/test{path}")
        expect(page.locator("tbody tr")).to_have_count(1)
        merchant.checkout()
        expect(page.locator("tbody tr")).to_have_count(2)
