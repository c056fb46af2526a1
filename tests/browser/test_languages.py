"""The checkout page in the languages of its buyers."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.checkouts import merchant_of
from tests.browser.judging import check_page
from tests.browser.looks import PHONE
from tests.support.service_process import ServiceProcess

LANGUAGES = ("de", "ja", "en", "fr", "es", "it", "nl", "pt", "pl", "sv")
FEW = 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_speaks_the_language_that_the_browser_asks_for_and_fits(
    new_page: Callable[..., Page], service: ServiceProcess, pytestconfig: pytest.Config, language: str
) -> None:
    if language not in LANGUAGES[:FEW] and not pytestconfig.getoption("--every-look"):
        pytest.skip("--every-look tests every language")
    page = new_page(PHONE._replace(language=language))
    with merchant_of(service) as merchant:
        page.goto(merchant.checkout()["url"])
    expect(page.locator("html")).to_have_attribute("lang", language)
    check_page(page)
