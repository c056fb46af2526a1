"""One payment: its money, its timeline in words, its attempts and deliveries, and any text in it."""

import html
import re
from typing import Final

import pytest

from paidonce.merchants.model import Mode
from paidonce.providers.evidence import Declined, Unknown
from paidonce.users.model import Role
from tests.support.dashboard_client import DashboardClient, logged_in
from tests.support.in_process_service import ENDPOINT, InProcessService

HOSTILE: Final = "<script>alert(1)</script>\"'&"


def text_of(page: str) -> str:
    """The page as it is read: without tags, and with one space between words."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


async def shown(person: DashboardClient, payments: str, checkout_id: str) -> str:
    response = await person.get(f"{payments}/{checkout_id}")
    assert response.status_code == 200, response.text
    return response.text


async def test_the_money_of_a_payment_is_told_with_what_is_left(
    inside: InProcessService, viewer: DashboardClient, payments: str
) -> None:
    checkout_id = await inside.paid(amount=1000, currency="EUR")
    done = await inside.made(f"/checkouts/{checkout_id}/refunds", {"amount": 300})
    await inside.prove(done["id"])
    await inside.made(f"/checkouts/{checkout_id}/refunds", {"amount": 200})
    text = text_of(await shown(viewer, payments, checkout_id))
    for part in ("Amount €10.00", "Captured €10.00", "Refunded €3.00", "Being refunded €2.00", "Left to refund €5.00"):
        assert part in text


async def test_the_timeline_tells_in_words_what_happened_and_what_caused_it(
    inside: InProcessService, viewer: DashboardClient, payments: str
) -> None:
    checkout_id = await inside.checkout()
    paying = await inside.made(f"/checkouts/{checkout_id}/pay")
    await inside.record(paying["attempt"]["id"], Unknown("timeout"))
    await inside.record(paying["attempt"]["id"], Declined("insufficient_funds", raw_code="51"))
    text = text_of(await shown(viewer, payments, checkout_id))
    for part in (
        "The checkout was created. Caused by a request.",
        "A payment began.",
        "The outcome is unknown. The provider is asked about it on a schedule.",
        "The provider confirmed that nothing was charged. Caused by the provider's answer.",
        "insufficient_funds",
        "51",
    ):
        assert part in text, part
    assert text.index("confirmed that nothing was charged") < text.index("The checkout was created")


async def test_the_deliveries_of_its_events_are_shown_and_no_others(
    inside: InProcessService, viewer: DashboardClient, payments: str
) -> None:
    endpoint = await inside.made("/webhook-endpoints", ENDPOINT)
    wanted = await inside.checkout()
    await inside.checkout()
    page = await shown(viewer, payments, wanted)
    assert text_of(page).count("checkout.created") == 1
    assert endpoint["url"] in page
    assert "No webhook endpoint" not in page


@pytest.mark.parametrize("text", [HOSTILE, "שלום עולם", "x" * 500])
async def test_any_text_is_shown_as_text_in_its_own_direction(
    inside: InProcessService, clerk: DashboardClient, payments: str, text: str
) -> None:
    checkout_id = await inside.paid(
        description=text,
        metadata={text[:40]: text},
        idempotencyKey=HOSTILE,
        successUrl="https://shop.example/?a=<script>",
    )
    await inside.made(f"/checkouts/{checkout_id}/refunds", {"amount": 100, "reason": text})
    page = await shown(clerk, payments, checkout_id)
    assert "<script>" not in page
    assert page.count('dir="auto"') >= 4


async def test_a_payment_in_progress_loads_itself_again_and_a_finished_one_does_not(
    inside: InProcessService, viewer: DashboardClient, payments: str
) -> None:
    checkout_id = await inside.checkout()
    paying = await inside.made(f"/checkouts/{checkout_id}/pay")
    page = await shown(viewer, payments, checkout_id)
    assert '<noscript><meta http-equiv="refresh"' in page
    assert "Money may or may not have moved" in page
    await inside.prove(paying["attempt"]["id"])
    assert "http-equiv" not in await shown(viewer, payments, checkout_id)


async def test_the_buyers_page_is_linked_while_the_buyer_can_pay(
    inside: InProcessService, viewer: DashboardClient, payments: str
) -> None:
    checkout_id = await inside.checkout()
    url = (await inside.get(f"/checkouts/{checkout_id}")).json()["url"]
    assert url
    assert f'href="{url}"' in await shown(viewer, payments, checkout_id)
    await inside.made(f"/checkouts/{checkout_id}/cancel")
    assert url not in await shown(viewer, payments, checkout_id)


async def test_a_payment_of_another_merchant_or_of_the_other_mode_is_not_found(
    inside: InProcessService, viewer: DashboardClient, payments: str
) -> None:
    checkout_id = await inside.checkout()
    live = payments.replace("/test/", "/live/")
    missing = await viewer.get(f"{payments}/chk_{'0' * 26}")
    assert missing.status_code == 404
    assert (await viewer.get(f"{live}/{checkout_id}")).status_code == 404
    other = inside.new_name("m")
    await inside.made("/merchants", {"id": other}, as_who=inside.operator_key)
    theirs = await inside.checkout(as_who=await inside.api_key(other))
    assert (await viewer.get(f"{payments}/{theirs}")).status_code == 404
    operator = await logged_in(inside, Role.OPERATOR)
    assert (await operator.get(f"/dashboard/m/{other}/{Mode.TEST}/payments/{theirs}")).status_code == 200
