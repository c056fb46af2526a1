"""Webhooks to merchants from the view of the receiver: every event, at least once, signed, whatever fails."""

import asyncio
import os
import secrets
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Final

import httpx
import pytest

from paidonce.clock import system_clock
from paidonce.database.engine import open_database
from paidonce.database.migrate import migrate
from paidonce.database_url import parse_database_url
from tests.support.merchant_client import MerchantClient, at_once, is_replayed
from tests.support.service_process import ServiceProcess, processes
from tests.support.webhook_receiver import Json, WebhookReceiver

WAITING: Final = 100  # Deliveries to a receiver that takes a second for each, and has a few places.
QUICK_WEBHOOKS: Final = {
    "PAIDONCE_WEBHOOK_ALLOW_PRIVATE": "true",
    "PAIDONCE_WEBHOOK_TIMEOUT_SECONDS": "1",
    "PAIDONCE_WEBHOOK_RETRY_FIRST_SECONDS": "0.001",  # What comes after five minutes comes after 60 ms.
    "PAIDONCE_SIMULATOR_LATENCY_MS": "10",
}


@pytest.fixture(scope="module")
def sending(shared_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """Share one service of each kind that may send to loopback and retries quickly."""
    with processes(tmp_path_factory.mktemp("sending")) as start:
        yield start("dev", DATABASE_URL=shared_database_url, **QUICK_WEBHOOKS).wait_until_ready()


@pytest.fixture
def receiver(chance: Random) -> WebhookReceiver:
    return WebhookReceiver(chance)


async def subscribe(shop: MerchantClient, receiver: WebhookReceiver, **fields: object) -> Json:
    """Create an endpoint for the receiver, which gets the secret."""
    body = {"merchantId": shop.merchant_id, "url": receiver.url, **fields}
    answer = await shop.http.post("/webhook-endpoints", json=body)
    assert answer.status_code == 201, answer.text
    endpoint: Json = answer.json()
    receiver.secrets.append(endpoint["secret"])
    return endpoint


async def deliveries(shop: MerchantClient, endpoint: Json, **parameters: str) -> list[Json]:
    answer = await shop.http.get(f"/webhook-endpoints/{endpoint['id']}/deliveries", params={"limit": 100, **parameters})
    assert answer.status_code == 200, answer.text
    page: list[Json] = answer.json()["data"]
    return page


async def come_true(look: Callable[[], Awaitable[Json | None]]) -> Json:
    """Poll until there is a result."""
    async with asyncio.timeout(90):
        while (found := await look()) is None:  # noqa: ASYNC110 - another process makes it come true
            await asyncio.sleep(0.01)
    return found


async def tried(shop: MerchantClient, endpoint: Json) -> Json | None:
    (one,) = await deliveries(shop, endpoint)
    return one if one["tries"] else None


async def paused(shop: MerchantClient, path: str) -> Json | None:
    endpoint: Json = (await shop.http.get(path)).json()
    return None if endpoint["enabled"] else endpoint


async def delivered(shop: MerchantClient, path: str, tries: int) -> Json | None:
    one: Json = (await shop.http.get(path)).json()
    return one if one["status"] == "DELIVERED" and len(one["tries"]) == tries else None


async def test_a_receiver_hears_of_a_payment_signed_numbered_and_in_the_words_of_the_api(
    sending: ServiceProcess, receiver: WebhookReceiver
) -> None:
    async with MerchantClient(sending.url) as shop, receiver:
        await subscribe(shop, receiver)
        paid = await shop.paid(await shop.created())
        await receiver.until(lambda: len(receiver.taken) == 3)
    messages = sorted(receiver.taken.values(), key=lambda body: body["data"]["number"])
    assert [one["type"] for one in messages] == ["checkout.created", "checkout.processing", "checkout.completed"]
    assert [one["data"]["number"] for one in messages] == [1, 2, 3]
    assert [one["data"]["checkout"]["status"] for one in messages] == ["PENDING", "PROCESSING", "COMPLETED"]
    same = ("id", "amount", "currency", "idempotencyKey", "captureMethod", "metadata", "createdAt", "expiresAt")
    assert {name: messages[2]["data"]["checkout"][name] for name in same} == {name: paid[name] for name in same}
    assert messages[2]["data"]["attempt"]["id"] == paid["attempt"]["id"]
    assert receiver.wrong == []


async def test_an_endpoint_that_is_asked_for_again_with_its_key_is_the_same_and_has_the_same_secret(
    sending: ServiceProcess, receiver: WebhookReceiver
) -> None:
    async with MerchantClient(sending.url) as shop, receiver:
        body = {"merchantId": shop.merchant_id, "url": receiver.url}
        headers = {"Idempotency-Key": "the only endpoint"}
        answers = await at_once(shop.http.post("/webhook-endpoints", json=body, headers=headers) for _ in range(8))
        assert [answer.status_code for answer in answers] == [201] * 8
        (endpoint_id,) = {answer.json()["id"] for answer in answers}
        assert sum(not is_replayed(answer) for answer in answers) == 1
        assert len({answer.json()["secret"] for answer in answers}) == 1
        other = await shop.http.post("/webhook-endpoints", json={**body, "description": "x"}, headers=headers)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        await shop.http.delete(f"/webhook-endpoints/{endpoint_id}")
        gone = await shop.http.post("/webhook-endpoints", json=body, headers=headers)
        assert (gone.status_code, gone.json()["code"]) == (404, "webhook_endpoint_not_found")


async def test_a_refund_is_told_as_a_refund(sending: ServiceProcess, receiver: WebhookReceiver) -> None:
    async with MerchantClient(sending.url) as shop, receiver:
        await subscribe(shop, receiver, eventTypes=["refund.succeeded"])
        checkout_id = await shop.created()
        await shop.paid(checkout_id)
        asked = await shop.http.post(f"/checkouts/{checkout_id}/refunds", json={"amount": 300, "reason": "returned"})
        await receiver.until(lambda: len(receiver.taken) == 1)
    (messages,) = receiver.taken.values()
    expected = {"id": asked.json()["id"], "amount": 300, "currency": "USD", "reason": "returned", "status": "SUCCEEDED"}
    assert (messages["data"]["refund"], messages["data"]["attempt"]) == (expected, None)
    assert "status" not in messages["data"]["checkout"]


async def test_a_receiver_that_fails_at_random_hears_of_everything_in_the_same_words(
    sending: ServiceProcess, chance: Random
) -> None:
    async with MerchantClient(sending.url) as shop, WebhookReceiver(chance, trouble=30) as receiver:
        await subscribe(shop, receiver)
        await at_once(shop.paid(one) for one in await at_once(shop.created() for _ in range(20)))
        await receiver.until(lambda: len(receiver.taken) == 60)
    assert receiver.numbers() == list(range(1, 61))
    assert receiver.sequences() == list(range(2, 62))  # The first event told of the endpoint itself.
    assert {len(bodies) for bodies in receiver.bodies.values()} == {1}
    assert receiver.wrong == []
    assert receiver.tries > 60


async def test_what_happened_while_a_receiver_was_down_arrives_when_it_is_back(
    sending: ServiceProcess, receiver: WebhookReceiver
) -> None:
    async with MerchantClient(sending.url) as shop:
        await receiver.go_up()
        endpoint = await subscribe(shop, receiver)
        await receiver.go_down()
        await shop.created()
        one = await come_true(lambda: tried(shop, endpoint))
        assert one["tries"][0]["error"].startswith("cannot connect")
        async with receiver:
            await receiver.until(lambda: len(receiver.taken) == 1)


async def test_a_receiver_that_never_answers_delays_no_other(sending: ServiceProcess, chance: Random) -> None:
    async with MerchantClient(sending.url) as shop, WebhookReceiver(chance) as dead, WebhookReceiver(chance) as alive:
        dead.silent = True
        await subscribe(shop, dead)
        await at_once(shop.created() for _ in range(WAITING))
        await subscribe(shop, alive, eventTypes=["checkout.created"])
        await shop.created()
        await alive.until(lambda: len(alive.taken) == 1)
        assert dead.tries < WAITING  # What waits for the silent one waits still.


async def test_a_receiver_that_is_gone_is_left_alone_until_it_is_resumed_and_misses_nothing(
    sending: ServiceProcess, receiver: WebhookReceiver
) -> None:
    async with MerchantClient(sending.url) as shop, receiver:
        endpoint = await subscribe(shop, receiver)
        path = f"/webhook-endpoints/{endpoint['id']}"
        receiver.status = 410
        await shop.created()
        await come_true(lambda: paused(shop, path))
        tries = receiver.tries
        await shop.created()
        receiver.status = 200
        assert (await shop.http.get(path)).json()["pauseReason"] == "gone"
        assert (receiver.taken, receiver.tries) == ({}, tries)
        resumed = await shop.http.patch(path, json={"enabled": True})
        assert (resumed.status_code, resumed.json()["pausedAt"]) == (200, None)
        await receiver.until(lambda: len(receiver.taken) == 2)


async def test_a_test_event_arrives_and_its_delivery_shows_what_was_answered(
    sending: ServiceProcess, receiver: WebhookReceiver
) -> None:
    async with MerchantClient(sending.url) as shop, receiver:
        endpoint = await subscribe(shop, receiver)
        asked = await shop.http.post(f"/webhook-endpoints/{endpoint['id']}/test")
        assert asked.status_code == 202
        await receiver.until(lambda: len(receiver.taken) == 1)
        shown = await come_true(lambda: delivered(shop, asked.headers["location"], 1))
        (tried,) = shown["tries"]
        assert (tried["statusCode"], tried["error"], tried["answer"]) == (200, None, "hello")
        again = await shop.http.post(f"/deliveries/{shown['id']}/redeliver")
        assert again.status_code == 202
        await come_true(lambda: delivered(shop, asked.headers["location"], 2))
        ranged = await shop.http.post(
            f"/webhook-endpoints/{endpoint['id']}/redeliver", json={"fromSequence": 1, "toSequence": 100}
        )
        assert (ranged.status_code, ranged.json()) == (202, {"deliveries": 1, "remaining": 0})
        await come_true(lambda: delivered(shop, asked.headers["location"], 3))
    assert len(receiver.bodies) == 1
    assert {len(bodies) for bodies in receiver.bodies.values()} == {1}


async def test_while_a_secret_is_replaced_both_verify_what_is_sent(
    sending: ServiceProcess, receiver: WebhookReceiver
) -> None:
    async with MerchantClient(sending.url) as shop, receiver:
        endpoint = await subscribe(shop, receiver)
        path = f"/webhook-endpoints/{endpoint['id']}/rotate-secret"
        turned = await shop.http.post(path, json={"overlapSeconds": 3600})
        assert turned.status_code == 200
        assert turned.json()["secret"] != endpoint["secret"]
        receiver.secrets.append(turned.json()["secret"])  # From now on every signature must fit both.
        await shop.created()
        await receiver.until(lambda: len(receiver.taken) == 1)
        last = await shop.http.post(path, json={"overlapSeconds": 0})
        receiver.secrets[:] = [last.json()["secret"]]
        await shop.created()
        await receiver.until(lambda: len(receiver.taken) == 2)
    assert receiver.wrong == []


async def test_a_secret_is_shown_once_and_is_neither_in_the_database_nor_in_the_log(
    sending: ServiceProcess, receiver: WebhookReceiver
) -> None:
    async with MerchantClient(sending.url) as shop, receiver:
        endpoint = await subscribe(shop, receiver)
        turned = await shop.http.post(f"/webhook-endpoints/{endpoint['id']}/rotate-secret")
        listed = await shop.http.get("/webhook-endpoints", params={"merchantId": shop.merchant_id})
        one = await shop.http.get(f"/webhook-endpoints/{endpoint['id']}")
        await shop.created()
        await receiver.until(lambda: receiver.tries >= 1)
    for secret in (endpoint["secret"], turned.json()["secret"]):
        bare = secret.removeprefix("whsec_")
        assert bare not in listed.text + one.text + sending.output
        assert not any(bare.encode() in path.read_bytes() for path in files_of(sending))


def files_of(service: ServiceProcess) -> list[Path]:
    """Return the files of a SQLite database, or what a service on PostgreSQL left in its folder."""
    if service.database_url.startswith("file:"):
        path = Path(service.database_url.removeprefix("file:"))
        with sqlite3.connect(path) as connection:
            assert connection.execute("SELECT count(*) FROM webhook_endpoint").fetchone()[0] > 0
        connection.close()
        return [each for each in path.parent.iterdir() if each.name.startswith(path.name) and each.suffix != ".key"]
    return [each for each in service.folder.iterdir() if each.is_file() and each.suffix != ".key"]


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "http://0x7f.1/", "https://user@shop.example/"])
async def test_an_endpoint_that_leads_where_it_must_not_is_refused_when_it_is_made_and_when_it_is_changed(
    sending: ServiceProcess, receiver: WebhookReceiver, url: str
) -> None:
    async with MerchantClient(sending.url) as shop, receiver:
        refused = await shop.http.post("/webhook-endpoints", json={"merchantId": shop.merchant_id, "url": url})
        endpoint = await subscribe(shop, receiver)
        changed = await shop.http.patch(f"/webhook-endpoints/{endpoint['id']}", json={"url": url})
    for answer in (refused, changed):
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "forbidden_url")


async def test_outside_of_development_loopback_is_refused_and_without_a_key_no_endpoint_is_made(
    start: Callable[..., ServiceProcess], sqlite_url: str
) -> None:
    database = open_database(parse_database_url(sqlite_url), clock=system_clock)
    migrate(database)
    database.close()
    service = start("serve", DATABASE_URL=sqlite_url)
    async with MerchantClient(service.url) as shop:
        urls = ["https://127.0.0.1/", "https://localhost/", "http://8.8.8.8/", "https://8.8.8.8/"]
        answers = [await shop.http.post("/webhook-endpoints", json={"merchantId": "m1", "url": url}) for url in urls]
    messages = [(answer.status_code, answer.json()["code"]) for answer in answers]
    assert messages == [(400, "invalid_request")] * 3 + [(501, "encryption_key_missing")]
    assert "PAIDONCE_ENCRYPTION_KEYS" in answers[3].json()["detail"]


KILLS: Final = 20 if os.environ.get("PAIDONCE_PROOF") == "long" else 1


@pytest.mark.longer_in_prove
@pytest.mark.timeout(300 + 60 * KILLS)
async def test_however_often_the_service_is_killed_every_event_arrives(
    start: Callable[..., ServiceProcess],
    database_url: str,
    chance: Random,
    record_property: Callable[[str, object], None],
) -> None:
    merchant_id = f"m_{secrets.token_hex(6)}"
    async with WebhookReceiver(chance, trouble=20) as receiver:
        for kill in range(KILLS):
            service = start("dev", DATABASE_URL=database_url, **QUICK_WEBHOOKS).wait_until_ready()
            async with MerchantClient(service.url, merchant_id) as shop:
                if kill == 0:
                    await subscribe(shop, receiver)
                with suppress(httpx.TransportError):
                    await buy(shop, until_killed=service, after_seconds=chance.uniform(0.1, 0.8))
            assert service.wait_for_end() == -9
        last = start("dev", DATABASE_URL=database_url, **QUICK_WEBHOOKS)
        async with MerchantClient(last.url, merchant_id) as shop:
            await buy(shop)
            events = await count_events(shop)
            await receiver.until(lambda: len(receiver.taken) >= events)
            assert await count_events(shop) == events
    assert receiver.numbers() == list(range(1, events + 1))
    assert receiver.wrong == []
    assert {len(bodies) for bodies in receiver.bodies.values()} == {1}
    figure = f"webhooks: {events} events, {receiver.tries} tries, {KILLS} kills, none lost, no gap"
    record_property("figure", figure)
    sys.stdout.write(figure + "\n")


async def buy(shop: MerchantClient, *, until_killed: ServiceProcess | None = None, after_seconds: float = 0.0) -> None:
    """Create and pay some checkouts, or until the service is killed."""
    if until_killed is not None:
        asyncio.get_running_loop().call_later(after_seconds, until_killed.process.kill)
    while True:
        await at_once(shop.paid(one) for one in await at_once(shop.created() for _ in range(5)))
        if until_killed is None:
            return


async def count_events(shop: MerchantClient) -> int:
    """Count the events of all checkouts, once every payment has ended."""
    count = 0
    after: dict[str, str] = {}
    while True:
        page = (
            await shop.http.get("/checkouts", params={"merchantId": shop.merchant_id, "limit": 100, **after})
        ).json()
        for one in page["data"]:
            await shop.ended(one["id"])
            count += len(await shop.timeline(one["id"]))
        if not page["hasMore"]:
            return count
        after = {"startingAfter": page["data"][-1]["id"]}
