"""Buyers see errors as pages in their language, whichever part of the service refuses their request."""

import re
from pathlib import Path
from typing import NoReturn

import httpx
import pytest

from paidonce.buyer_pages import routes
from paidonce.errors import DatabaseUnavailable
from paidonce.http.rate_limits import BODY_BYTES_MAX
from tests.support.buyer_pages import BuyerPagesShop, title_of
from tests.support.in_process_service import open_in_process_service

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "sv"}
MISSING = "Betalningen finns inte"
BROKEN = "Sidan kan inte visas"
BUSY = "Vänta ett ögonblick"


def refresh_seconds(page: httpx.Response) -> str | None:
    found = re.search(r'<meta http-equiv="refresh" content="(\d+)">', page.text)
    return found and found[1]


def expect_page(page: httpx.Response, status: int, title: str) -> None:
    assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8"), page.text
    assert title_of(page.text) == title
    assert 'lang="sv"' in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/pay", "/pay/none", "/pay/none/at/all", "/pay//none", f"/return/{'0' * 32}"])
async def test_a_path_that_does_not_exist_is_a_page(shop: BuyerPagesShop, path: str) -> None:
    page = await shop.http.get(path, headers=BROWSER)
    expect_page(page, 404, MISSING)
    assert refresh_seconds(page) is None


async def test_another_method_is_refused_with_a_page_that_names_those_that_there_are(shop: BuyerPagesShop) -> None:
    page = await shop.http.put((await shop.checkout())["url"], headers=BROWSER)
    expect_page(page, 405, BROKEN)
    assert page.headers["allow"] == "GET, HEAD, POST"


async def test_a_form_that_is_too_large_is_refused_with_a_page(shop: BuyerPagesShop) -> None:
    page = await shop.http.post((await shop.checkout())["url"], content=b"a" * (BODY_BYTES_MAX + 1), headers=BROWSER)
    expect_page(page, 413, BROKEN)
    assert page.headers["connection"] == "close"


async def test_a_buyer_with_too_many_requests_sees_a_page_that_loads_again_when_there_is_room(
    migrated_sqlite_url: str, tmp_path: Path
) -> None:
    async with open_in_process_service(
        migrated_sqlite_url, str(tmp_path), migrating=False, address_limit_per_second=0.2, address_limit_burst=20
    ) as running:
        for _ in range(20):
            page = await running.http.get("/pay/none", headers=BROWSER)
        page = await running.http.get("/pay/none", headers=BROWSER)
    expect_page(page, 429, BUSY)
    assert refresh_seconds(page) == page.headers["retry-after"]
    assert int(page.headers["retry-after"]) > 2


async def test_a_page_that_cannot_be_read_now_loads_again_by_itself(
    shop: BuyerPagesShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_given: object) -> NoReturn:
        raise DatabaseUnavailable

    checkout = await shop.checkout()
    monkeypatch.setattr(routes, "load_checkout", fail)
    page = await shop.http.get(checkout["url"], headers=BROWSER)
    expect_page(page, 503, BUSY)
    assert (refresh_seconds(page), page.headers["retry-after"]) == ("2", "1")


async def test_a_defect_is_a_page_that_says_that_nobody_is_charged_twice(
    shop: BuyerPagesShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_given: object) -> NoReturn:
        raise ZeroDivisionError

    checkout = await shop.checkout()
    monkeypatch.setattr(routes, "load_checkout", fail)
    page = await shop.http.get(checkout["url"], headers=BROWSER)
    expect_page(page, 500, BROKEN)
    assert "Pengarna dras inte två gånger" in page.text
    assert "ZeroDivision" not in page.text


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream", "*/*"])
async def test_whoever_asks_for_no_page_is_answered_with_a_problem(shop: BuyerPagesShop, accept: str) -> None:
    answer = await shop.http.put((await shop.checkout())["url"], headers={"Accept": accept})
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    elsewhere = await shop.http.get("/nothing", headers=BROWSER)
    assert elsewhere.json()["code"] == "route_not_found"


async def test_people_on_the_dashboard_see_what_is_refused_before_it_as_a_page(shop: BuyerPagesShop) -> None:
    page = await shop.http.post("/dashboard/login", content=b"a" * (BODY_BYTES_MAX + 1), headers=BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (413, "text/html; charset=utf-8")
    assert title_of(page.text) == "Request body too large"
