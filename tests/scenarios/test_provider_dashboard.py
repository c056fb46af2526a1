"""What happens at the provider without a request: a service hears of it by webhook, and tells the truth about it."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.support.merchant_client import Json, MerchantClient
from tests.support.oracle import violated_invariants
from tests.support.provider_process import ServiceAndProvider, start_service_and_provider
from tests.support.service_process import processes

pytestmark = pytest.mark.postgresql_in_prove

WAIT_SECONDS_MAX: Final = 120.0


@pytest.fixture(scope="module")
def pair(shared_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceAndProvider]:
    """Run a service and a provider that sends webhooks, for all tests."""
    with processes(tmp_path_factory.mktemp("dashboard")) as start:
        yield start_service_and_provider(start, shared_database_url)


async def until(shop: MerchantClient, checkout_id: str, condition: Callable[[Json], object]) -> Json:
    """Read a checkout until a condition is true."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not condition(checkout := await shop.get(checkout_id)):
            pass
    return checkout


async def refunds(shop: MerchantClient, checkout_id: str) -> list[Json]:
    answer = await shop.http.get(f"/checkouts/{checkout_id}/refunds")
    found: list[Json] = answer.json()["data"]
    return found


async def test_a_refund_of_the_dashboard_is_counted_and_ours_are_limited_to_the_rest(pair: ServiceAndProvider) -> None:
    async with MerchantClient(pair.service.url) as shop:
        paid = await shop.paid(await shop.created())
        reference = paid["attempt"]["providerReference"]
        made = pair.in_dashboard(f"charges/{reference}/refund", amount=400)
        await until(shop, paid["id"], lambda one: one["amountRefunded"] == 400)
        (recorded,) = await refunds(shop, paid["id"])
        assert (recorded["initiatedBy"], recorded["status"]) == ("provider", "SUCCEEDED")
        assert recorded["providerReference"] == made["reference"]
        refused = await shop.http.post(f"/checkouts/{paid['id']}/refunds", json={"amount": 601})
        assert (refused.status_code, refused.json()["code"]) == (422, "amount_exceeds_refundable")
        await shop.http.post(f"/checkouts/{paid['id']}/refunds", json={"amount": 600})
        await until(shop, paid["id"], lambda one: one["amountRefunded"] == 1000)
        pair.in_dashboard(f"refunds/{made['reference']}/fail")
        await until(shop, paid["id"], lambda one: one["amountRefunded"] == 600)
        assert [one["status"] for one in await refunds(shop, paid["id"])] == ["FAILED", "SUCCEEDED"]
    assert violated_invariants(pair.service.database_url, pair.service.books, of_merchant=shop.merchant_id) == []


async def test_a_refund_of_ours_that_fails_late_can_be_made_again(pair: ServiceAndProvider) -> None:
    async with MerchantClient(pair.service.url) as shop:
        paid = await shop.paid(await shop.created(), "tok_refund_fails_late")
        await shop.http.post(f"/checkouts/{paid['id']}/refunds", json={})
        await until(shop, paid["id"], lambda one: one["amountRefunded"] == 1000)
        await until(shop, paid["id"], lambda one: one["amountRefunded"] == 0)
        (failed,) = await refunds(shop, paid["id"])
        assert (failed["status"], failed["declineCode"]) == ("FAILED", "expired_card")
        types = [one["type"] for one in await shop.timeline(paid["id"])]
        assert types[-3:] == ["refund.created", "refund.succeeded", "refund.failed"]
    assert violated_invariants(pair.service.database_url, pair.service.books, of_merchant=shop.merchant_id) == []


async def test_a_dispute_is_shown_told_and_cannot_be_refunded_too(pair: ServiceAndProvider) -> None:
    async with MerchantClient(pair.service.url) as shop:
        paid = await shop.paid(await shop.created())
        reference = paid["attempt"]["providerReference"]
        opened = pair.in_dashboard(f"charges/{reference}/dispute", amount=1000, reason="product_not_received")
        await until(shop, paid["id"], lambda one: one["amountDisputed"] == 1000)
        refused = await shop.http.post(f"/checkouts/{paid['id']}/refunds", json={})
        assert (refused.status_code, refused.json()["code"]) == (422, "amount_exceeds_refundable")
        pair.in_dashboard(f"disputes/{opened['reference']}/won")
        await until(shop, paid["id"], lambda one: one["amountDisputed"] == 0)
        (dispute,) = (await shop.http.get(f"/checkouts/{paid['id']}/disputes")).json()["data"]
        assert (dispute["status"], dispute["amount"], dispute["reason"]) == ("WON", 1000, "product_not_received")
        events = [(one["type"], one["reason"]) for one in await shop.timeline(paid["id"])]
        assert events[-2:] == [("dispute.opened", "product_not_received"), ("dispute.won", "product_not_received")]


@pytest.mark.parametrize(("act", "status"), [("cancel", "CANCELED"), ("expire", "EXPIRED")])
async def test_an_authorization_that_ends_in_the_dashboard_ends_its_checkout(
    pair: ServiceAndProvider, act: str, status: str
) -> None:
    async with MerchantClient(pair.service.url) as shop:
        held = await shop.paid(await shop.created(captureMethod="manual"))
        assert held["status"] == "AUTHORIZED"
        pair.in_dashboard(f"charges/{held['attempt']['providerReference']}/{act}")
        ended = await until(shop, held["id"], lambda one: one["status"] != "AUTHORIZED")
        assert (ended["status"], ended["attempt"]["kind"], ended["attempt"]["status"]) == (status, "VOID", "SUCCEEDED")
    assert violated_invariants(pair.service.database_url, pair.service.books, of_merchant=shop.merchant_id) == []


async def test_an_authorization_that_lapses_expires_its_checkout_and_nothing_is_held(pair: ServiceAndProvider) -> None:
    async with MerchantClient(pair.service.url) as shop:
        checkout_id = await shop.created(captureMethod="manual")
        before = await shop.get(checkout_id)
        held = await shop.paid(checkout_id, "tok_capture_within_2")
        assert held["status"] in ("AUTHORIZED", "EXPIRED")
        assert held["expiresAt"] < before["expiresAt"]
        await until(shop, checkout_id, lambda one: one["status"] == "EXPIRED")
    assert violated_invariants(pair.service.database_url, pair.service.books, of_merchant=shop.merchant_id) == []
