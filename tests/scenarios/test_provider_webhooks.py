"""Webhooks of the provider: first, twice, never, late or forged, the payment has the same outcome."""

import json
import secrets
from collections.abc import Callable, Iterator

import httpx
import pytest
from sqlalchemy import func, select

from paidonce.database.schema import event, provider_webhook
from tests.support.merchant_client import MerchantClient, at_once
from tests.support.oracle import attempts_of, database, violated_invariants
from tests.support.provider_process import ServiceAndProvider, forgeries, signed, start_service_and_provider
from tests.support.service_process import ServiceProcess, processes, wait_until

METHODS = {
    "tok_success": "COMPLETED",
    "tok_webhook_first": "COMPLETED",
    "tok_webhook_twice": "COMPLETED",
    "tok_webhook_never": "COMPLETED",
    "tok_timeout_then_success": "COMPLETED",
    "tok_timeout_then_decline": "FAILED",
    "tok_error_then_success": "COMPLETED",
    "tok_error_after_charge": "COMPLETED",
    "tok_unknown_then_success": "COMPLETED",
    "tok_declined_expired_card": "FAILED",
}


TRIES_MAX = 20
# So that only a webhook can end a payment whose answer is lost: the service is still waiting for that.
PATIENT = {"PAIDONCE_PROVIDER_TIMEOUT_SECONDS": "100", "PAIDONCE_LEASE_SECONDS": "120"}


@pytest.fixture(scope="module")
def pair(shared_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceAndProvider]:
    """Run a service and a provider that sends webhooks, for all tests that do not harm them."""
    with processes(tmp_path_factory.mktemp("told")) as start:
        yield start_service_and_provider(start, shared_database_url, settings=PATIENT)


async def test_whatever_becomes_of_answer_and_webhook_a_payment_ends_the_same_and_charges_once(
    pair: ServiceAndProvider,
) -> None:
    async with MerchantClient(pair.service.url) as shop:
        ids = await at_once(shop.created() for _ in METHODS)
        ended = await at_once(shop.paid(one, method) for one, method in zip(ids, METHODS, strict=True))
    assert dict(zip(METHODS, (one["status"] for one in ended), strict=True)) == METHODS
    booked = [one["checkoutId"] for one in pair.charges() if one["checkoutId"] in ids]
    assert sorted(booked) == sorted(ids)
    assert violated_invariants(pair.service.database_url, pair.service.books, of_merchant=shop.merchant_id) == []


async def test_a_webhook_that_overtakes_the_answer_ends_the_payment_and_the_answer_adds_nothing(
    pair: ServiceAndProvider,
) -> None:
    async with MerchantClient(pair.service.url) as shop:
        causes = set()
        # It is delivered before the answer. On a busy machine the answer may be recorded first all the same.
        for _ in range(TRIES_MAX):
            checkout_id = await shop.created()
            await shop.paid(checkout_id, "tok_webhook_first")
            timeline = await shop.timeline(checkout_id)
            assert [one["type"] for one in timeline] == [
                "checkout.created",
                "checkout.processing",
                "checkout.completed",
            ]
            causes.add(timeline[-1]["cause"])
            if "webhook" in causes:
                break
    assert "webhook" in causes


async def test_an_answer_that_is_lost_is_made_good_by_the_webhook_at_once(pair: ServiceAndProvider) -> None:
    async with MerchantClient(pair.service.url) as shop:
        checkout_id = await shop.created()
        await shop.paid(checkout_id, "tok_timeout_then_success")
        timeline = await shop.timeline(checkout_id)
    assert [(one["type"], one["cause"]) for one in timeline[1:]] == [
        ("checkout.processing", "request"),
        ("checkout.completed", "webhook"),
    ]


async def test_a_forged_or_stale_webhook_is_refused_and_changes_nothing(pair: ServiceAndProvider) -> None:
    async with MerchantClient(pair.service.url) as shop:
        checkout_id = await shop.created()
        paid = (await shop.paid(checkout_id, "tok_declined_expired_card"))["attempt"]
        seen = snapshot(pair.service.database_url, shop.merchant_id)
        body = told(paid["id"], paid["providerReference"])
        answers = {
            wrong: await shop.http.post(pair.webhooks_url, content=body, headers=headers)
            for wrong, headers in forgeries(body).items()
        }
        assert {wrong: (one.status_code, one.json()["code"]) for wrong, one in answers.items()} == dict.fromkeys(
            answers, (401, "invalid_signature")
        )
        assert snapshot(pair.service.database_url, shop.merchant_id) == seen
        assert (await shop.get(checkout_id))["status"] == "FAILED"


async def test_the_same_webhook_from_many_sides_at_once_is_stored_once(pair: ServiceAndProvider) -> None:
    async with MerchantClient(pair.service.url) as shop:
        checkout_id = await shop.created()
        paid = (await shop.paid(checkout_id))["attempt"]
        body, message_id = told(paid["id"], paid["providerReference"]), f"msg_{secrets.token_hex(8)}"
        headers = signed(body, message_id=message_id)
        answers = await at_once(shop.http.post(pair.webhooks_url, content=body, headers=headers) for _ in range(50))
        timeline = await shop.timeline(checkout_id)
    assert {(answer.status_code, answer.json()["id"]) for answer in answers} == {(200, message_id)}
    with database(pair.service.database_url) as connection:
        wanted = select(func.count()).where(provider_webhook.c.id == message_id)
        assert connection.execute(wanted).scalar_one() == 1
    assert [one["type"] for one in timeline].count("checkout.completed") == 1


async def test_a_webhook_that_is_no_news_is_taken_and_one_of_a_stranger_is_not(pair: ServiceAndProvider) -> None:
    async with MerchantClient(pair.service.url) as shop:
        ping = b'{"type":"ping"}'
        taken = await shop.http.post(pair.webhooks_url, content=ping, headers=signed(ping))
        stranger = await shop.http.post("/providers/stranger/webhooks", content=ping, headers=signed(ping))
    assert (taken.status_code, stranger.status_code, stranger.json()["code"]) == (200, 404, "provider_not_found")


async def test_a_signed_webhook_that_is_not_valid_utf_8_is_a_bad_request(pair: ServiceAndProvider) -> None:
    body = b'{"type":"charge.succeeded","timestamp":"\xff"}'
    async with MerchantClient(pair.service.url) as shop:
        answer = await shop.http.post(pair.webhooks_url, content=body, headers=signed(body))
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")


async def test_a_charge_that_succeeds_after_its_decline_completes_the_checkout(pair: ServiceAndProvider) -> None:
    async with MerchantClient(pair.service.url) as shop:
        checkout_id = await shop.created()
        declined = await shop.paid(checkout_id, "tok_declined_expired_card")
        assert declined["status"] == "FAILED"
        pair.succeed_late(declined["attempt"]["providerReference"])
        wait_until(lambda: status(pair, checkout_id) == "COMPLETED")
        timeline = await shop.timeline(checkout_id)
    assert (timeline[-1]["type"], timeline[-1]["cause"]) == ("checkout.completed", "webhook")
    assert [(one["status"], one["amountRefunded"]) for one in pair.charges_of(checkout_id)] == [("succeeded", 0)]
    assert violated_invariants(pair.service.database_url, pair.service.books, of_merchant=shop.merchant_id) == []


async def test_a_charge_that_succeeds_after_its_checkout_was_canceled_is_given_back_at_once(
    pair: ServiceAndProvider,
) -> None:
    async with MerchantClient(pair.service.url) as shop:
        checkout_id = await shop.created()
        declined = await shop.paid(checkout_id, "tok_declined_expired_card")
        assert (await shop.cancel(checkout_id)).status_code == 200
        pair.succeed_late(declined["attempt"]["providerReference"])
        wait_until(lambda: [one["amountRefunded"] for one in pair.charges_of(checkout_id)] == [1000])
        wait_until(lambda: ended_reversals(pair, checkout_id) == ["SUCCEEDED"])
        assert (await shop.get(checkout_id))["status"] == "CANCELED"
        assert [one["type"] for one in await shop.timeline(checkout_id)][-2:] == ["refund.created", "refund.succeeded"]


async def test_of_two_charges_that_succeed_in_the_end_the_late_one_is_given_back(pair: ServiceAndProvider) -> None:
    async with MerchantClient(pair.service.url) as shop:
        checkout_id = await shop.created()
        declined = await shop.paid(checkout_id, "tok_declined_expired_card")
        assert (await shop.paid(checkout_id))["status"] == "COMPLETED"
        late = declined["attempt"]["providerReference"]
        pair.succeed_late(late)
        wait_until(lambda: {one["reference"]: one["amountRefunded"] for one in pair.charges_of(checkout_id)}[late])
        wait_until(lambda: ended_reversals(pair, checkout_id) == ["SUCCEEDED"])
        assert (await shop.get(checkout_id))["status"] == "COMPLETED"
    kept = [one["amount"] - one["amountRefunded"] for one in pair.charges_of(checkout_id)]
    assert sorted(kept) == [0, 1000]


async def test_a_webhook_that_was_acknowledged_is_applied_though_the_process_was_killed(
    start: Callable[..., ServiceProcess], database_url: str
) -> None:
    pair = start_service_and_provider(start, database_url, tells=False)
    async with MerchantClient(pair.service.url) as shop:
        checkout_id = await shop.created()
        declined = (await shop.paid(checkout_id, "tok_declined_expired_card"))["attempt"]
        body = told(declined["id"], declined["providerReference"])
        answer = await shop.http.post(pair.webhooks_url, content=body, headers=signed(body))
        pair.service.kill()
    assert answer.status_code == 200
    settings = {name: value for name, value in pair.service.settings.items() if name != "DATABASE_URL"}
    again = start("dev", DATABASE_URL=database_url, **settings).wait_until_ready()
    wait_until(lambda: status(ServiceAndProvider(again, pair.simulator), checkout_id) == "COMPLETED")


def told(attempt_id: str, reference: str) -> bytes:
    """Build the webhook of a successful charge."""
    operation = {"key": attempt_id, "kind": "charge", "reference": reference, "outcome": "succeeded", "amount": 1000}
    return json.dumps({"type": "charge.succeeded", "timestamp": "2026-01-02T03:04:05.678Z", "data": operation}).encode()


def snapshot(url: str, merchant_id: str) -> tuple[int, int]:
    """Count the rows that a webhook could have added."""
    with database(url) as connection:
        events = connection.execute(select(func.count()).where(event.c.merchant_id == merchant_id)).scalar_one()
        wanted = select(func.count()).select_from(provider_webhook).where(provider_webhook.c.result != "KNOWN")
        return events, connection.execute(wanted).scalar_one()


def status(pair: ServiceAndProvider, checkout_id: str) -> str:
    answer = httpx.get(f"{pair.service.url}/checkouts/{checkout_id}")
    status: str = answer.json()["status"]
    return status


def ended_reversals(pair: ServiceAndProvider, checkout_id: str) -> list[str]:
    found = attempts_of(pair.service.database_url, [checkout_id])
    return [row.status for row in found if row.kind == "REVERSAL"]
