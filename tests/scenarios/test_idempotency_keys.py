"""An Idempotency-Key on any modifying call: one effect, whoever repeats it, and whatever crashes."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import closing

import httpx
from sqlalchemy import select

from paidonce.clock import system_clock
from paidonce.database.engine import open_database
from paidonce.database.schema import webhook_endpoint
from paidonce.database_url import parse_database_url
from tests.support.merchant_client import Json, MerchantClient, at_once, is_replayed
from tests.support.oracle import attempts_of, charges_of, violated_invariants
from tests.support.service_process import ServiceProcess


async def call(
    shop: MerchantClient, path: str, key: str, body: Json | None = None, wait_seconds: int = 0
) -> httpx.Response:
    headers = {"Idempotency-Key": key} | ({"Prefer": f"wait={wait_seconds}"} if wait_seconds else {})
    return await shop.http.post(path, headers=headers, json=body or {})


async def what_became_of(shop: MerchantClient, key: str) -> httpx.Response:
    return await shop.http.get(f"/idempotency-keys/{key}", params={"merchantId": shop.merchant_id})


async def test_a_pay_with_a_key_that_is_repeated_after_its_end_is_answered_and_nothing_is_paid_again(
    service: ServiceProcess,
) -> None:
    async with MerchantClient(service.url) as shop:
        checkout_id = await shop.created()
        declined = await call(
            shop, f"/checkouts/{checkout_id}/pay", "k", {"paymentMethod": "tok_declined_expired_card"}, 20
        )
        again = await call(shop, f"/checkouts/{checkout_id}/pay", "k", {"paymentMethod": "tok_declined_expired_card"})
        paid = await call(shop, f"/checkouts/{checkout_id}/pay", "k2", wait_seconds=20)
        paid_again = await call(shop, f"/checkouts/{checkout_id}/pay", "k2")
    assert [one.status_code for one in (declined, again, paid, paid_again)] == [202] * 4
    assert [is_replayed(one) for one in (declined, again, paid, paid_again)] == [False, True, False, True]
    assert [one.json()["status"] for one in (declined, again, paid, paid_again)] == ["FAILED"] * 2 + ["COMPLETED"] * 2
    assert len(attempts_of(service.database_url, [checkout_id])) == 2
    assert len(charges_of(service.books, checkout_id)) == 1


async def test_one_key_at_many_clients_at_once_begins_one_refund_one_capture_one_payment(
    service: ServiceProcess,
) -> None:
    async with MerchantClient(service.url) as shop:
        checkout_id = await shop.created(captureMethod="manual")
        pays = await at_once(call(shop, f"/checkouts/{checkout_id}/pay", "pay", wait_seconds=20) for _ in range(10))
        captures = await at_once(
            call(shop, f"/checkouts/{checkout_id}/capture", "capture", {"amount": 800}, 20) for _ in range(10)
        )
        refunds = await at_once(
            call(shop, f"/checkouts/{checkout_id}/refunds", "refund", {"amount": 300}) for _ in range(10)
        )
    for answers in (pays, captures, refunds):
        assert {answer.status_code for answer in answers} == {202}
        assert sum(not is_replayed(answer) for answer in answers) == 1
    assert len({answer.json()["id"] for answer in refunds}) == 1
    assert sorted(row.kind for row in attempts_of(service.database_url, [checkout_id])) == [
        "AUTHORIZE",
        "CAPTURE",
        "REFUND",
    ]


async def test_a_key_with_another_body_or_at_another_path_is_refused_and_says_why(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout_id, other = await shop.created(), await shop.created()
        await call(shop, f"/checkouts/{checkout_id}/pay", "k")
        another_body = await call(shop, f"/checkouts/{checkout_id}/pay", "k", {"paymentMethod": "tok_delay_1"})
        another_path = await call(shop, f"/checkouts/{other}/pay", "k")
        another_call = await call(shop, f"/checkouts/{checkout_id}/cancel", "k")
    answers = (another_body, another_path, another_call)
    assert [(one.status_code, one.json()["code"]) for one in answers] == [(422, "idempotency_key_reused")] * 3
    assert [one.json()["fields"] for one in answers] == [["paymentMethod"], ["path"], ["path"]]
    assert attempts_of(service.database_url, [other]) == []


async def test_a_call_that_failed_keeps_no_key(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout_id = await shop.created()
        too_soon = await call(shop, f"/checkouts/{checkout_id}/refunds", "k", {"amount": 300})
        nothing = await what_became_of(shop, "k")
        await shop.paid(checkout_id)
        refunded = await call(shop, f"/checkouts/{checkout_id}/refunds", "k", {"amount": 300})
    assert (too_soon.status_code, refunded.status_code, is_replayed(refunded)) == (409, 202, False)
    assert (nothing.status_code, nothing.json()["code"]) == (404, "idempotency_key_not_found")


async def test_a_cancel_that_is_repeated_is_answered_as_it_was(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout_id = await shop.created()
        answers = [await call(shop, f"/checkouts/{checkout_id}/cancel", "k") for _ in range(2)]
    assert [(one.status_code, one.json()["status"], is_replayed(one)) for one in answers] == [
        (200, "CANCELED", False),
        (200, "CANCELED", True),
    ]


async def test_what_became_of_a_key_is_told_whatever_it_was_used_for(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop, MerchantClient(service.url) as another:
        key = "a purchase/1"
        checkout_id = await shop.created(key)
        paid = await call(shop, f"/checkouts/{checkout_id}/pay", key)
        path = "/idempotency-keys/a%20purchase%2F1"
        told = await shop.http.get(path, params={"merchantId": shop.merchant_id})
        of_another = await shop.http.get(path, params={"merchantId": another.merchant_id})
        of_nobody = await shop.http.get(path)
    created, pay = told.json()["data"]
    assert (told.status_code, told.json()["key"]) == (200, key)
    assert (created["path"], created["status"], created["expiresAt"]) == ("/checkouts", 201, None)
    assert (pay["path"], pay["status"]) == (f"/checkouts/{checkout_id}/pay", 202)
    assert created["resource"] == pay["resource"] == f"/checkouts/{checkout_id}"
    assert pay["attemptId"] == paid.json()["attempt"]["id"]
    assert pay["requestId"] == paid.headers["X-Request-Id"]
    assert pay["expiresAt"] > pay["createdAt"]
    assert of_another.status_code == 404
    assert [one["pointer"] for one in of_nobody.json()["errors"]] == ["merchantId"]


async def test_whatever_was_lost_in_a_kill_takes_effect_once_when_it_is_repeated_with_its_key(
    start: Callable[..., ServiceProcess], database_url: str
) -> None:
    service = start("dev", DATABASE_URL=database_url)
    async with MerchantClient(service.url) as shop:
        merchant_id = shop.merchant_id
        paid = await at_once(shop.created() for _ in range(6))
        await at_once(shop.paid(one) for one in paid)
        unpaid = await at_once(shop.created() for _ in range(6))
        calls = [(f"/checkouts/{one}/refunds", secrets.token_hex(8), {"amount": 300}) for one in paid]
        calls += [(f"/checkouts/{one}/pay", secrets.token_hex(8), {}) for one in unpaid]
        under_way = [asyncio.create_task(call(shop, path, key, body)) for path, key, body in calls]
        await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        service.kill()
        first = await asyncio.gather(*under_way, return_exceptions=True)
    service = start("dev", DATABASE_URL=database_url)
    async with MerchantClient(service.url, merchant_id) as shop:
        await at_once(call(shop, path, key, body) for path, key, body in calls)
        second = await at_once(call(shop, path, key, body) for path, key, body in calls)
        told = [(await what_became_of(shop, key)).json()["data"][0] for _, key, _ in calls]
        await at_once(shop.ended(one) for one in unpaid)
    assert {answer.status_code for answer in second} == {202}
    acknowledged = [answer for answer in first if isinstance(answer, httpx.Response)]
    assert acknowledged
    for before, after in zip(first, second, strict=True):
        assert is_replayed(after)
        if isinstance(before, httpx.Response):
            assert before.json()["id"] == after.json()["id"]
    rows = attempts_of(database_url, [*paid, *unpaid])
    assert sorted(row.kind for row in rows) == ["CHARGE"] * 12 + ["REFUND"] * 6
    assert {one["attemptId"] for one in told} <= {row.id for row in rows}
    assert violated_invariants(database_url, service.books) == []


async def test_a_secret_whose_answer_was_lost_in_a_kill_is_shown_when_the_call_is_repeated_with_its_key(
    start: Callable[..., ServiceProcess], database_url: str
) -> None:
    settings = {"DATABASE_URL": database_url, "PAIDONCE_WEBHOOK_ALLOW_PRIVATE": "true"}
    service = start("dev", **settings)
    async with MerchantClient(service.url) as shop:
        merchant_id = shop.merchant_id
        body = {"merchantId": merchant_id, "url": "http://127.0.0.1:9/webhooks"}  # Nobody listens there.
        made = [(await shop.http.post("/webhook-endpoints", json=body)).json() for _ in range(8)]
        calls = [(f"/webhook-endpoints/{one['id']}/rotate-secret", secrets.token_hex(8)) for one in made]
        under_way = [asyncio.create_task(call(shop, path, key)) for path, key in calls]
        await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        service.kill()
        first = await asyncio.gather(*under_way, return_exceptions=True)
    service = start("dev", **settings)
    async with MerchantClient(service.url, merchant_id) as shop:
        second = [await call(shop, path, key) for path, key in calls]
        third = [await call(shop, path, key) for path, key in calls]
    assert {answer.status_code for answer in (*second, *third)} == {200}
    assert [answer.json()["secret"] for answer in second] == [answer.json()["secret"] for answer in third]
    acknowledged = [answer for answer in first if isinstance(answer, httpx.Response)]
    assert acknowledged
    for before, after in zip(first, second, strict=True):
        if isinstance(before, httpx.Response):
            assert before.json()["secret"] == after.json()["secret"]
    assert rotations_of(database_url, merchant_id) == [1] * 8


def rotations_of(database_url: str, merchant_id: str) -> list[int]:
    """Return how often each endpoint of a merchant was changed."""
    database = open_database(parse_database_url(database_url), clock=system_clock, exclusive=False)
    with closing(database), database.read() as transaction:
        wanted = select(webhook_endpoint.c.version).where(webhook_endpoint.c.merchant_id == merchant_id)
        return [row.version for row in transaction.rows(wanted)]
