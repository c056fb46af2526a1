"""Two servers and two workers on one PostgreSQL: the guarantees of one process hold for four."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import func, select

from paidonce.database.schema import attempt
from paidonce.http.headers import WAIT_SECONDS_MAX
from tests.support.databases import fresh_database
from tests.support.event_stream_client import follow_events
from tests.support.merchant_client import Json, MerchantClient, a_few_at_a_time, at_once, is_replayed
from tests.support.oracle import attempts_of, charges_of, database, violated_invariants
from tests.support.service_process import ServiceProcess, processes, wait_until

HELD_MAX = 20  # Payments in the hands of one worker at once, so that one worker cannot take all of them.
SETTINGS = {"PAIDONCE_PROVIDER_CONCURRENCY": str(HELD_MAX), "PAIDONCE_SIMULATOR_LATENCY_MS": "300"}


class Fleet(NamedTuple):
    """Two servers without workers, and two workers."""

    servers: list[ServiceProcess]
    workers: list[ServiceProcess]
    start: Callable[..., ServiceProcess]

    @property
    def database_url(self) -> str:
        return self.servers[0].database_url

    @property
    def books(self) -> Path:
        return self.servers[0].books


@pytest.fixture(scope="module")
def fleet(
    postgres_server_url: str, migrated_postgres_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    with (
        fresh_database(postgres_server_url, template=migrated_postgres_template) as url,
        processes(tmp_path_factory.mktemp("fleet")) as start,
    ):
        settings = {"DATABASE_URL": url, **SETTINGS}
        servers = [start("serve", "--no-worker", **settings) for _ in range(2)]
        workers = [start("worker", **settings) for _ in range(2)]
        for one in (*servers, *workers):
            one.wait_until_ready()
        yield Fleet(servers, workers, start)


async def test_racing_creates_at_two_servers_give_one_checkout_for_each_key(fleet: Fleet) -> None:
    one, other = [MerchantClient(server.url, "m_of_two_servers") for server in fleet.servers]
    async with one, other:
        # Each shop takes the keys in an order of its own: servers that lock rows in these orders would deadlock.
        keys = [f"key{number}" for number in range(10)]
        calls = [
            shop.create(key) for _ in range(10) for shop, order in ((one, 1), (other, -1)) for key in keys[::order]
        ]
        answers = await at_once(calls)
    assert {answer.status_code for answer in answers} == {201}
    assert len({(answer.json()["idempotencyKey"], answer.json()["id"]) for answer in answers}) == len(keys)
    assert sum(not is_replayed(answer) for answer in answers) == len(keys)
    assert violated_invariants(fleet.database_url, fleet.books, of_merchant=one.merchant_id) == []


async def test_racing_pays_and_cancels_at_two_servers_have_one_winner_for_each_checkout(fleet: Fleet) -> None:
    one, other = [MerchantClient(server.url, "m_of_two_winners") for server in fleet.servers]
    async with one, other:
        ids = await at_once(one.created() for _ in range(10))
        paid = ids[:5] * 5
        pays = await at_once(shop.pay(each) for each in paid for shop in (one, other))
        pays_or_cancels = await at_once(
            call for each in ids[5:] for shop in (one, other) for call in (shop.cancel(each), shop.pay(each))
        )
        ended = await a_few_at_a_time(other.ended, ids)
    # One call began each payment. All others were told of that one attempt, or that it has completed the checkout.
    assert sum(answer.status_code == 202 and not is_replayed(answer) for answer in pays) == 5
    assert {(answer.status_code, answer.json().get("currentStatus")) for answer in pays} <= {
        (202, None),
        (409, "COMPLETED"),
    }
    attempts = {(one["id"], one["attempt"]["id"]) for one in (answer.json() for answer in pays) if "attempt" in one}
    assert sorted(checkout_id for checkout_id, _ in attempts) == sorted(ids[:5])
    assert {answer.status_code for answer in pays_or_cancels} <= {200, 202, 409}
    assert {checkout["status"] for checkout in ended} <= {"COMPLETED", "CANCELED"}
    for checkout in ended:
        assert len(charges_of(fleet.books, checkout["id"])) == (checkout["status"] == "COMPLETED")
    assert violated_invariants(fleet.database_url, fleet.books, of_merchant=one.merchant_id) == []


async def test_a_client_that_waits_at_one_server_sees_what_another_process_settled(fleet: Fleet) -> None:
    async with MerchantClient(fleet.servers[0].url) as one, MerchantClient(fleet.servers[1].url) as other:
        checkout_id = await one.created()
        paid, seen = await asyncio.gather(
            one.pay(checkout_id, wait_seconds=WAIT_SECONDS_MAX), wait_for_payment(other, checkout_id)
        )
    # Whoever is told only when the wait is over is told that the payment is under way.
    assert (paid.json()["status"], seen) == ("COMPLETED", "COMPLETED")


async def test_when_one_of_two_workers_is_killed_the_other_takes_over_and_settles_every_payment_once(
    fleet: Fleet,
) -> None:
    killed, other = fleet.workers
    async with MerchantClient(fleet.servers[0].url) as shop:
        ids = await at_once(shop.created() for _ in range(3 * HELD_MAX))
        other.stop()  # What is held meanwhile is held by the one that is killed.
        answers = await at_once(shop.pay(each, "tok_delay_1000") for each in ids)
        assert {answer.status_code for answer in answers} == {202}
        wait_until(lambda: holds_some_when_stopped(killed))
        killed.kill()
        other.resume()
        ended = await a_few_at_a_time(shop.ended, ids)
    assert {checkout["status"] for checkout in ended} == {"COMPLETED"}
    taken_over = [row for row in attempts_of(fleet.database_url, ids) if row.fence > 1]
    assert len(taken_over) >= 1
    assert violated_invariants(fleet.database_url, fleet.books, of_merchant=shop.merchant_id) == []


async def test_one_key_at_two_servers_refunds_once(fleet: Fleet) -> None:
    one, other = [MerchantClient(server.url, "m_of_one_key") for server in fleet.servers]
    async with one, other:
        ids = await at_once(one.created() for _ in range(4))
        await at_once(one.paid(each) for each in ids)
        answers = await at_once(
            shop.http.post(f"/checkouts/{each}/refunds", headers={"Idempotency-Key": f"k{each}"}, json={"amount": 100})
            for _ in range(6)
            for each in ids
            for shop in (one, other)
        )
    assert {answer.status_code for answer in answers} == {202}
    assert sum(not is_replayed(answer) for answer in answers) == len({answer.json()["id"] for answer in answers}) == 4
    refunds = [row for row in attempts_of(fleet.database_url, ids) if row.kind == "REFUND"]
    assert len(refunds) == 4


async def test_events_have_one_order_at_every_server_and_none_appears_behind_one_that_was_told(fleet: Fleet) -> None:
    one, other = [MerchantClient(server.url, "m_of_one_order") for server in fleet.servers]
    async with one, other, AsyncExitStack() as stack:
        # After 40 checkouts at each server, and their payments, which two workers settle.
        last = 2 * 40 * 3
        told = [await stack.enter_async_context(follow_events(shop.http, shop.merchant_id)) for shop in (one, other)]
        paging = [asyncio.create_task(page_to(shop, last)) for shop in (one, other)]
        ids = await at_once(shop.created() for _ in range(40) for shop in (one, other))
        await at_once(shop.pay(each) for shop, part in ((one, ids[::2]), (other, ids[1::2])) for each in part)
        paged = await at_once(paging)
        for follower in told:
            await follower.until_told_number(last)
    assert [[event["sequence"] for event in events] for events in paged] == [list(range(1, last + 1))] * 2
    assert paged[0] == paged[1] == told[0].events == told[1].events


async def page_to(shop: MerchantClient, last: int) -> list[Json]:
    """Page repeatedly from the last event seen, while others write."""
    events: list[Json] = []
    while len(events) < last:
        after = events[-1]["sequence"] if events else 0
        wanted = {"merchantId": str(shop.merchant_id), "after": after, "limit": 20}
        events += (await shop.http.get("/events", params=wanted)).json()["data"]
    return events


async def wait_for_payment(shop: MerchantClient, checkout_id: str) -> str:
    """Read repeatedly until somebody has paid; then wait for the outcome."""
    checkout = await shop.get(checkout_id)
    while checkout["status"] in ("PENDING", "PROCESSING"):
        checkout = await shop.get(checkout_id, wait_seconds=WAIT_SECONDS_MAX)
    status: str = checkout["status"]
    return status


def holds_some_when_stopped(worker: ServiceProcess) -> bool:
    """Suspend a worker in a moment at which it holds leases; where it holds none, it goes on."""
    worker.stop()
    with database(worker.database_url) as connection:
        held: int = connection.execute(select(func.count()).where(attempt.c.status == "SENT")).scalar_one()
    if not held:
        worker.resume()
    return held > 0
