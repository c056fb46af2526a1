"""The list of payments: searched, filtered and paged by its URL, and safe with any text."""

import re
from typing import Final
from unittest.mock import patch
from urllib.parse import parse_qsl

import pytest

from paidonce.dashboard.payments import listing
from paidonce.search import finding
from tests.support.dashboard_client import DashboardClient
from tests.support.in_process_service import InProcessService

HOSTILE: Final = "<script>alert(1)</script>\"'&"


def listed(page: str) -> list[str]:
    """The ids of the payments on a page, in their order."""
    return re.findall(r'href="[^"]*/payments/(chk_[0-9a-v]{26})"', page)


def link(page: str, text: str) -> str:
    found = re.search(rf'<a href="([^"]*)"[^>]*>{text}</a>', page)
    assert found, f"no link {text} in {page}"
    return found[1].replace("&amp;", "&")


async def follow(viewer: DashboardClient, page: str, text: str) -> str:
    path, _, query = link(page, text).partition("?")
    return (await viewer.get(path, **dict(parse_qsl(query)))).text


async def test_a_payment_is_shown_with_its_amount_its_status_in_words_and_its_provider(
    inside: InProcessService, viewer: DashboardClient, payments: str
) -> None:
    wanted = await inside.paid(amount=1250, currency="EUR", description="Blue shirt")
    page = (await viewer.get(payments)).text
    assert listed(page) == [wanted]
    for text in ("€12.50", "Completed", "Blue shirt", "simulator", "UTC</time>"):
        assert text in page


async def test_a_merchant_without_payments_is_told_how_to_begin(viewer: DashboardClient, payments: str) -> None:
    page = (await viewer.get(payments)).text
    assert "There are no payments yet" in page
    assert "POST /checkouts" in page
    assert "Export" not in page


async def test_pages_lead_from_the_newest_to_the_oldest_and_back_and_keep_the_search(
    inside: InProcessService, viewer: DashboardClient, payments: str
) -> None:
    made = [await inside.checkout(currency="EUR") for _ in range(5)]
    await inside.checkout()
    with patch.object(listing, "PAGE_MAX", 2):
        seen = []
        page = (await viewer.get(payments, currency="EUR")).text
        seen += listed(page)
        while "Older" in page:
            page = await follow(viewer, page, "Older")
            assert "currency=EUR" in link(page, "Newest")
            seen += listed(page)
    assert seen == made[::-1]


@pytest.mark.parametrize(
    ("parameters", "count"),
    [
        ({"query": "the-key"}, 1),
        ({"status": "PENDING"}, 2),
        ({"amount": "77.00 EUR"}, 1),
        ({"amount": "77,00", "currency": "EUR"}, 1),
        ({"amount": "77.00", "currency": "USD"}, 0),
        ({"provider": "simulator"}, 1),
        ({"since": "2020-01-01"}, 3),
        ({"until": "2020-01-01"}, 0),
        ({"since": "", "until": "", "query": "", "status": ""}, 3),
    ],
)
async def test_the_url_says_what_is_searched_for(
    inside: InProcessService, viewer: DashboardClient, payments: str, parameters: dict[str, str], count: int
) -> None:
    await inside.checkout(idempotencyKey="the-key")
    await inside.checkout(amount=7700, currency="EUR")
    await inside.paid()
    response = await viewer.get(payments, **parameters)
    assert response.status_code == 200
    assert len(listed(response.text)) == count
    assert ("Nothing matches" in response.text) == (count == 0)


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"amount": "77"}, "Choose a currency too"),
        ({"amount": "much", "currency": "EUR"}, "Write an amount such as"),
        ({"since": "2026-02-30"}, "Write a date such as"),
        ({"currency": "XXQ"}, "not an active ISO 4217 currency"),
        ({"page": "2"}, "unknown"),
    ],
)
async def test_a_search_that_cannot_be_read_is_shown_again_with_what_is_wrong(
    inside: InProcessService, viewer: DashboardClient, payments: str, parameters: dict[str, str], problem: str
) -> None:
    await inside.checkout()
    response = await viewer.get(payments, **parameters)
    assert response.status_code == 400
    assert problem in response.text
    if "amount" in parameters:
        assert f'value="{parameters["amount"]}"' in response.text


async def test_a_page_that_has_searched_enough_says_up_to_where_and_leads_on(
    inside: InProcessService, viewer: DashboardClient, payments: str
) -> None:
    wanted = await inside.checkout(amount=77)
    for _ in range(5):
        await inside.checkout()
    with patch.object(finding, "STEPS", (1,)):
        page = (await viewer.get(payments, amount="0.77 USD")).text
        assert "Nothing was found so far" in page
        assert "searched back to" in page
        page = await follow(viewer, page, "Search further back")
    assert listed(page) == [wanted]


@pytest.mark.parametrize("text", [HOSTILE, "\u202eevil", "שלום עולם", "x" * 1000])
async def test_any_text_is_shown_as_text_in_its_own_direction(
    inside: InProcessService, viewer: DashboardClient, payments: str, text: str
) -> None:
    await inside.checkout(description=text)
    page = (await viewer.get(payments)).text
    assert "<script>" not in page
    assert 'dir="auto"' in page
    page = (await viewer.get(payments, query=HOSTILE, provider=HOSTILE)).text
    assert "<script>" not in page


async def test_what_was_refunded_is_told_beside_the_status(
    inside: InProcessService, viewer: DashboardClient, payments: str
) -> None:
    wanted = await inside.paid()
    refund = await inside.made(f"/checkouts/{wanted}/refunds", {"amount": 100})
    await inside.prove(refund["id"])
    assert "partly refunded" in (await viewer.get(payments)).text
