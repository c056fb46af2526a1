"""The page of the overview, on both databases."""

import re
from html import unescape

import httpx
import pytest

from paidonce.clock import HOUR_MS
from paidonce.dashboard.overview.texts import compact_amount, duration_text
from paidonce.payments.settle import record_evidence
from paidonce.providers.evidence import Declined, Unknown
from tests.support.dashboard_client import logged_in
from tests.support.in_process_service import InProcessService
from tests.support.payments import evidence_about


async def page_of(service: InProcessService, **parameters: str) -> httpx.Response:
    person = await logged_in(service)
    return await person.get(f"/dashboard/m/{service.merchant_id}/test", **parameters)


async def text_of(service: InProcessService, **parameters: str) -> str:
    """Return the text of the page, without its markup."""
    response = await page_of(service, **parameters)
    assert response.status_code == 200, response.text
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", response.text)).split())


async def sell(service: InProcessService) -> None:
    """Sell twice in dollars and once in euros, with a decline and an unknown outcome, over two hours."""
    await service.paid(amount=1999)
    declined = await service.made(f"/checkouts/{await service.checkout()}/pay")
    await service.service.writer.submit(
        record_evidence, evidence_about(declined["attempt"]["id"], Declined("expired_card"))
    )
    service.clock.now += HOUR_MS
    await service.paid(amount=1)
    await service.paid(amount=500, currency="EUR")
    unknown = await service.made(f"/checkouts/{await service.checkout()}/pay")
    await service.service.writer.submit(record_evidence, evidence_about(unknown["attempt"]["id"], Unknown("no answer")))
    await service.service.rollup.catch_up()
    service.clock.now += 90_000


async def test_the_sums_and_what_needs_attention_are_shown_in_the_currency_with_most_checkouts(
    service: InProcessService,
) -> None:
    await sell(service)
    text = await text_of(service, period="day")
    assert "Figures of the last day, in USD" in text
    assert "Volume $20.00 Refunded $0.00" in text
    assert "Success rate 66.7% Payments 2 succeeded, 1 declined" in text
    assert "Unknown outcomes 1 the oldest for 1 min 30 s" in text
    assert "expired_card 1 100.0%" in text
    assert "Everything that happened is counted." in text


async def test_another_currency_can_be_chosen(service: InProcessService) -> None:
    await sell(service)
    text = await text_of(service, period="week", currency="EUR")
    assert "Volume €5.00" in text
    assert "No payment was declined." in text


async def test_the_table_of_each_chart_has_a_row_for_each_interval_with_the_figures(service: InProcessService) -> None:
    await sell(service)
    html = (await page_of(service, period="day")).text
    (table,) = re.findall(r"<caption>Volume for each hour</caption>.*?</table>", html, re.DOTALL)
    rows = [re.sub(r"<[^>]*>", " ", row).split() for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]]
    assert len(rows) == 25  # The hour that has begun is shown, too.
    assert rows[-1] == ["23:00", "$0.01", "$0.00", "$0.00"]
    assert rows[-2] == ["22:00", "$19.99", "$0.00", "$0.00"]


async def test_that_figures_are_behind_is_said(service: InProcessService) -> None:
    await service.checkout()
    service.clock.now += 1000
    text = await text_of(service)
    assert "Everything that happened before Nov 14, 2023, 10:13:20 PM UTC is counted; the rest follows." in text


async def test_nothing_of_the_charts_needs_what_the_policy_refuses(service: InProcessService) -> None:
    await sell(service)
    response = await page_of(service)
    html = response.text
    assert "'unsafe-inline'" not in response.headers["content-security-policy"]
    assert re.findall(r"style=|<style|<script(?! src)|\bon[a-z]+=|https?://|data:", html) == []
    drawings = re.findall(r"<svg[^>]*>", html)
    assert len(drawings) >= 4
    assert all('role="img"' in one or "aria-hidden" in one or "16 12" in one for one in drawings)


async def test_every_chart_has_a_name_and_says_its_figures_in_words(service: InProcessService) -> None:
    await sell(service)
    html = (await page_of(service)).text
    for chart, words in {
        "volume": "Captured in all: $20.00.",
        "payments": "Succeeded: 2. Declined: 1.",
        "times": "From the first pay to the provider's confirmation",
    }.items():
        assert f'aria-labelledby="{chart}-title {chart}-text"' in html
        (described,) = re.findall(rf'<desc id="{chart}-text">(.*?)</desc>', html)
        assert words in unescape(described)


async def test_a_merchant_without_anything_sees_an_empty_overview(service: InProcessService) -> None:
    text = await text_of(service)
    assert "Unknown outcomes 0 Every outcome is known." in text
    assert "Success rate –" in text


@pytest.mark.parametrize(
    "parameters", [{"period": "century"}, {"currency": "XXX"}, {"timeZone": "Mars/Olympus"}, {"unknown": "1"}]
)
async def test_what_cannot_be_shown_is_refused_on_the_page(
    service: InProcessService, parameters: dict[str, str]
) -> None:
    response = await page_of(service, **parameters)
    assert response.status_code == 400
    assert 'class="error"' in response.text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, "–"),
        (0, "0 ms"),
        (999, "999 ms"),
        (1200, "1.2 s"),
        (5000, "5 s"),
        (200_000, "3 min 20 s"),
        (7_200_000, "2 h"),
        (187_200_000, "2 d 4 h"),
    ],
)
def test_a_duration_is_written_with_two_units_at_the_most(milliseconds: int | None, text: str) -> None:
    assert duration_text(milliseconds) == text


def test_an_amount_of_a_scale_is_written_shortly() -> None:
    assert compact_amount(1_234_500, "EUR") == "€12.3K"
    assert compact_amount(50_000, "JPY") == "¥50K"
