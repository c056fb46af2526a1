"""The browser of these tests: what it can reach, and that the checks of pages find what they are for."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Error, Page

from tests.browser.chromium import OfflineBrowser
from tests.browser.judging import accessibility_problems, layout_problems
from tests.browser.looks import DESKTOP, PHONE


@pytest.mark.parametrize(
    ("url", "host"), [("https://elsewhere.example/", "elsewhere.example"), ("https://192.0.2.1/", "192.0.2.1")]
)
def test_the_browser_opens_no_page_of_another_host_by_name_or_address(
    browser: OfflineBrowser, url: str, host: str
) -> None:
    with browser.browser.new_context() as context, pytest.raises(Error, match="ERR_TUNNEL_CONNECTION_FAILED"):
        context.new_page().goto(url)
    assert browser.take_refused_hosts() == [host]


def test_the_browser_loads_no_picture_of_another_host(browser: OfflineBrowser) -> None:
    with browser.browser.new_context() as context:
        context.new_page().set_content('<img alt="" src="http://images.example/a.png">')
    assert browser.take_refused_hosts() == ["images.example"]


def test_the_check_for_accessibility_finds_a_picture_without_a_text_and_a_pale_text(
    new_page: Callable[..., Page],
) -> None:
    page = new_page(DESKTOP)
    page.set_content('<html lang="en"><main><h1 style="color:#aaa">Pale</h1><img src="data:,"></main></html>')
    found = " ".join(accessibility_problems(page))
    assert ("color-contrast" in found, "image-alt" in found, "document-title" in found) == (True, True, True)


def test_the_check_of_the_layout_finds_what_is_wider_than_a_phone(new_page: Callable[..., Page]) -> None:
    page = new_page(PHONE)
    page.set_content('<meta name="viewport" content="width=device-width"><p style="width:400px">Wide</p>')
    assert [one.partition(": ")[2] for one in layout_problems(page)] == ["p.: Wide"]
