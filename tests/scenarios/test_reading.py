"""Reads: an outcome that is waited for, pages of checkouts, and timelines."""

import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any

import httpx

from tests.support.merchant_client import Json, MerchantClient, at_once, during_a_payment
from tests.support.service_process import ServiceProcess


async def test_a_client_that_waits_is_answered_as_soon_as_the_payment_has_ended(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout_id = await shop.created()
        paying = await shop.pay(checkout_id, "tok_delay_800")
        answers = await at_once(
            shop.http.get(f"/checkouts/{checkout_id}", headers={"Prefer": "wait=25"}) for _ in range(5)
        )
    assert paying.json()["status"] == "PROCESSING"
    assert {(one.json()["status"], one.headers["Preference-Applied"]) for one in answers} == {("COMPLETED", "wait=25")}
    answered_at = [parsedate_to_datetime(one.headers["Date"]).timestamp() for one in answers]
    ended_at = datetime.fromisoformat(answers[0].json()["attempt"]["settledAt"]).timestamp()
    assert max(answered_at) - ended_at < 20  # They would have waited for 25.


async def test_a_client_that_has_waited_long_enough_is_told_what_is_true_then(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:

        async def pay(checkout_id: str, method: str) -> tuple[httpx.Response, float]:
            began = time.monotonic()
            answer = await shop.pay(checkout_id, method, wait_seconds=1)
            return answer, time.monotonic() - began

        # It is told before the payment has ended: else this is done again with a longer one.
        _, (answer, took_seconds) = await during_a_payment(shop, pay)
    assert (answer.status_code, answer.json()["status"]) == (202, "PROCESSING")
    assert took_seconds >= 1


async def test_pages_lead_through_all_checkouts_in_both_directions_while_new_ones_arrive(
    service: ServiceProcess,
) -> None:
    async with MerchantClient(service.url) as shop:
        ids = [await shop.created() for _ in range(12)][::-1]
        first = await page(shop, limit=5)
        await shop.created()  # Arrives while somebody pages: nothing shifts.
        second = await page(shop, limit=5, startingAfter=first["data"][-1]["id"])
        third = await page(shop, limit=5, startingAfter=second["data"][-1]["id"])
        back = await page(shop, limit=5, endingBefore=third["data"][0]["id"])
        front = await page(shop, limit=6, endingBefore=back["data"][0]["id"])
    assert [ids_of(one) for one in (first, second, third)] == [ids[:5], ids[5:10], ids[10:]]
    assert [one["hasMore"] for one in (first, second, third)] == [True, True, False]
    assert (ids_of(back), back["hasMore"]) == (ids[5:10], True)
    assert (ids_of(front)[1:], front["hasMore"]) == (ids[:5], False)


async def test_a_page_shows_only_what_its_filters_let_through(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop, MerchantClient(service.url) as another:
        pending, canceled, failed = [await shop.created() for _ in range(3)]
        theirs = await another.created()
        await shop.cancel(canceled)
        await shop.paid(failed, "tok_declined_expired_card")
        by_status = {
            status: ids_of(await page(shop, status=status)) for status in ("PENDING", "CANCELED", "FAILED", "COMPLETED")
        }
        created_at = (await shop.get(canceled))["createdAt"]
        everything = ids_of(await page(shop, createdAfter="2020-01-01T00:00:00Z", createdBefore="2999-01-01T00:00:00Z"))
        older = ids_of(await page(shop, createdBefore=created_at))
        newer = ids_of(await page(shop, createdAfter=created_at))
    assert by_status == {"PENDING": [pending], "CANCELED": [canceled], "FAILED": [failed], "COMPLETED": []}
    assert everything == [failed, canceled, pending]
    assert (set(older) <= {pending}, set(newer) <= {failed}) == (True, True)
    assert theirs not in everything


async def test_a_page_cannot_lie_after_one_checkout_and_before_another(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        one = await shop.created()
        answer = await shop.http.get("/checkouts", params={"startingAfter": one, "endingBefore": one})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


async def test_the_timeline_tells_every_transition_with_its_cause_oldest_first(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout_id = await shop.created("the-key")
        await shop.paid(checkout_id, "tok_declined_expired_card")
        ended = await shop.paid(checkout_id, "tok_error_after_charge")
        entries = await shop.timeline(checkout_id)
    assert [(one["type"], one["cause"]) for one in entries] == [
        ("checkout.created", "request"),
        ("checkout.processing", "request"),
        ("checkout.failed", "provider_answer"),
        ("checkout.processing", "request"),
        ("attempt.unknown", "provider_answer"),
        ("checkout.completed", "lookup"),
    ]
    assert all(before["createdAt"] <= after["createdAt"] for before, after in pairwise(entries))
    created, _, failed, _, unknown, completed = entries
    assert created["idempotencyKey"] == "the-key"
    assert created["requestId"]
    assert failed["declineCode"] == "expired_card"
    assert "500" in unknown["reason"]
    assert completed["providerReference"] == ended["attempt"]["providerReference"]
    assert completed["attemptId"] == ended["attempt"]["id"]
    assert failed["attemptId"] != ended["attempt"]["id"]


async def page(shop: MerchantClient, **parameters: Any) -> Json:  # noqa: ANN401 - what a query can say
    answer = await shop.http.get("/checkouts", params={"merchantId": shop.merchant_id, **parameters})
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def ids_of(shown: Json) -> list[str]:
    return [one["id"] for one in shown["data"]]
