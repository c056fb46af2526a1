"""The event log over HTTP: paged, one by one, and as a stream, also across a crash and a stop."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.event_stream_client import follow_events
from tests.support.merchant_client import Json, MerchantClient, at_once
from tests.support.service_process import ServiceProcess

SHUTDOWN_SECONDS = 1


async def page(shop: MerchantClient, **parameters: Any) -> Json:  # noqa: ANN401 - what a query can say
    answer = await shop.http.get("/events", params={"merchantId": shop.merchant_id, **parameters})
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def test_an_event_is_the_same_in_a_page_by_itself_and_in_the_timeline(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout_id = await shop.created("the-key")
        await shop.paid(checkout_id)
        events = (await page(shop))["data"]
        one = await shop.http.get(f"/events/{events[1]['id']}")
        assert events == await shop.timeline(checkout_id)
        assert one.json() == events[1]
        missing = await shop.http.get("/events/evt_" + "0" * 26)
    assert [(event["sequence"], event["type"], event["attemptKind"]) for event in events] == [
        (1, "checkout.created", None),
        (2, "checkout.processing", "CHARGE"),
        (3, "checkout.completed", "CHARGE"),
    ]
    assert {(event["merchantId"], event["checkoutId"]) for event in events} == {(shop.merchant_id, checkout_id)}
    assert (events[0]["idempotencyKey"], events[0]["cause"]) == ("the-key", "request")
    assert events[2]["providerReference"]
    assert (missing.status_code, missing.json()["code"]) == (404, "event_not_found")


async def test_pages_lead_through_what_is_wanted_oldest_first(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop, MerchantClient(service.url) as other:
        ids = [await shop.created() for _ in range(4)]
        await other.created()
        await shop.cancel(ids[1])
        first = await page(shop, limit=3)
        second = await page(shop, limit=3, after=first["data"][-1]["sequence"])
        canceled = await page(shop, types="checkout.canceled,checkout.expired")
        of_one = await page(shop, checkoutId=ids[1])
    assert [event["checkoutId"] for event in first["data"] + second["data"]] == [*ids, ids[1]]
    assert (first["hasMore"], second["hasMore"]) == (True, False)
    assert [event["sequence"] for event in canceled["data"]] == [5]
    assert [event["sequence"] for event in of_one["data"]] == [2, 5]


async def test_what_cannot_be_wanted_is_refused_by_name(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        of_all = await shop.http.get("/events")
        strange = await shop.http.get("/events", params={"merchantId": "m", "types": "checkout.eaten", "after": "-1"})
        ahead = await shop.http.get("/events/stream", params={"merchantId": shop.merchant_id, "after": "5"})
        garbled = await shop.http.get(
            "/events/stream", params={"merchantId": shop.merchant_id}, headers={"Last-Event-ID": "x"}
        )
    wrong = [[one["pointer"] for one in answer.json()["errors"]] for answer in (of_all, strange, ahead, garbled)]
    assert wrong == [["merchantId"], ["after", "types"], ["after"], ["Last-Event-ID"]]


async def test_several_followers_are_told_the_same_while_payments_settle(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop, AsyncExitStack() as stack:
        await shop.created()
        everything = [
            await stack.enter_async_context(follow_events(shop.http, shop.merchant_id, after="0")) for _ in range(3)
        ]
        ends = await stack.enter_async_context(
            follow_events(shop.http, shop.merchant_id, types="checkout.completed,checkout.failed", after="newest")
        )
        ids = await at_once(shop.created() for _ in range(8))
        await at_once(shop.pay(one, method) for one in ids for method in ["tok_success"])
        for told in everything:
            await told.until_told("checkout.completed", 8)
        await ends.until_told("checkout.completed", 8)
        listed = (await page(shop, limit=100))["data"]
    assert [told.events for told in everything] == [listed] * 3
    assert ends.events == [event for event in listed if event["type"] == "checkout.completed"]


@pytest.mark.in_prove
async def test_two_thousand_followers_of_one_process_are_all_told(service: ServiceProcess) -> None:
    merchants = [f"m_{secrets.token_hex(6)}" for _ in range(100)]
    before_kib = memory_kib(service)
    followers = [await plain_follower(service, merchant) for merchant in merchants * 20]
    each_kib = (memory_kib(service) - before_kib) / len(followers)
    async with MerchantClient(service.url) as shop:
        await at_once(shop.created(merchantId=merchant) for merchant in merchants)
    told = await at_once(reader.readuntil(b"checkout.created") for reader, _ in followers)
    assert [text.count(b"id: 1\n") for text in told] == [1] * 2000
    assert each_kib < 50
    for _, writer in followers:
        writer.close()
    await at_once(writer.wait_closed() for _, writer in followers)


async def plain_follower(service: ServiceProcess, merchant: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Follow over a raw connection, because an HTTP client would cost more CPU than the service."""
    place = urlsplit(service.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(f"GET /events/stream?merchantId={merchant} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode())
    await reader.readuntil(b"id: 0\n\n")
    return reader, writer


def memory_kib(service: ServiceProcess) -> int:
    """Read the memory of a process."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


async def test_a_follower_goes_on_where_it_was_after_a_kill_and_a_stop_lets_it_go(
    start: Callable[..., ServiceProcess], database_url: str
) -> None:
    settings = {"DATABASE_URL": database_url, "PAIDONCE_SHUTDOWN_SECONDS": str(SHUTDOWN_SECONDS)}
    service = start("dev", **settings)
    async with MerchantClient(service.url) as shop:
        merchant_id = shop.merchant_id
        async with follow_events(shop.http, merchant_id) as before:
            ids = await at_once(shop.created() for _ in range(6))
            await at_once(shop.pay(one) for one in ids)
            await before.until_told("checkout.processing", 2)
            service.kill()
            await before.until_done()
    service = start("dev", **settings)
    async with MerchantClient(service.url, merchant_id) as shop, AsyncExitStack() as stack:
        after = await stack.enter_async_context(
            follow_events(shop.http, merchant_id, position=before.position, after="0")
        )
        await after.until_told(
            "checkout.completed", 6 - sum(one["type"] == "checkout.completed" for one in before.events)
        )
        told = before.events + after.events
        assert [event["sequence"] for event in told] == list(range(1, 19))
        others = [await stack.enter_async_context(follow_events(shop.http, merchant_id)) for _ in range(20)]
        service.terminate()  # By themselves the streams would never end.
        for one in [after, *others]:
            await one.until_done()
        assert await asyncio.to_thread(service.wait_for_end) == 0, service.output
    assert [line for line in service.lines if "without completing" in line] == []
