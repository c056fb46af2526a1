"""SIGTERM under load, as in every deployment: a quick end with status 0, and nothing is lost or hangs."""

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from random import Random

from paidonce.clock import system_clock
from tests.support.buyers import Buyers
from tests.support.merchant_client import MerchantClient
from tests.support.oracle import attempts_of, violated_invariants
from tests.support.raw_http import connect
from tests.support.service_process import ServiceProcess

SHUTDOWN_SECONDS = 1
LEASES = {"PAIDONCE_LEASE_SECONDS": "100", "PAIDONCE_PROVIDER_TIMEOUT_SECONDS": "50"}
SLOW = "tok_delay_45000"  # Under way for longer than the shutdown waits.


async def test_a_process_that_is_terminated_under_load_ends_in_time_and_gives_back_its_leases(
    start: Callable[..., ServiceProcess], database_url: str, chance: Random
) -> None:
    service = start(
        "dev", DATABASE_URL=database_url, PAIDONCE_SHUTDOWN_SECONDS=str(SHUTDOWN_SECONDS), **LEASES
    ).wait_until_ready()
    buyers = Buyers(chance, slow=SLOW)
    buying = asyncio.create_task(buyers.buy(service.url))
    async with MerchantClient(service.url) as shop:
        slow = await shop.created()
        waiting = asyncio.create_task(shop.pay(slow, SLOW, wait_seconds=30))
        await buyers.until(lambda: len(buyers.paid) >= 100)
        service.terminate()
        answer = await waiting
    status = await asyncio.to_thread(service.wait_for_end)
    await buying
    assert (answer.status_code, answer.json()["status"]) == (202, "PROCESSING")  # Told what is true, not cut off.
    assert status == 0, service.output
    # It has not waited for what takes longer than the shutdown may: that is given back.
    left = [row for row in attempts_of(database_url, [*buyers.paid, slow]) if row.due_at is not None]
    assert len(left) > 1
    assert max(row.due_at for row in left) <= system_clock()


def test_clients_that_never_finish_delay_an_end_by_no_more_than_its_time(
    start: Callable[..., ServiceProcess], sqlite_url: str
) -> None:
    service = start("dev", DATABASE_URL=sqlite_url, PAIDONCE_SHUTDOWN_SECONDS=str(SHUTDOWN_SECONDS))
    head = b"POST /checkouts HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 10\r\n"
    follow = b"GET /events/stream?merchantId=m1 HTTP/1.1\r\nHost: here\r\n\r\n"
    with ExitStack() as stack:
        follower, *others = [stack.enter_context(connect(service.url)) for _ in range(4)]
        follower.send(follow)
        for wire, data in zip(others, (b"", head, head + b"\r\n{"), strict=True):
            wire.send(data)
        assert follower.answer().status == 200
        service.terminate()
        terminated_at = time.monotonic()
        assert service.wait_for_end() == 0, service.output
        assert time.monotonic() - terminated_at < SHUTDOWN_SECONDS + 10  # Far less than the time for a body.


async def test_after_a_termination_the_next_process_settles_at_once_what_was_under_way(
    start: Callable[..., ServiceProcess], database_url: str, chance: Random
) -> None:
    service = start("dev", DATABASE_URL=database_url, PAIDONCE_SHUTDOWN_SECONDS="0", **LEASES).wait_until_ready()
    # So long that the end of a process on a busy machine does not outlast it.
    buyers = Buyers(chance, slow="tok_delay_8000")
    buying = asyncio.create_task(buyers.buy(service.url))
    await buyers.until(lambda: len(buyers.paid) >= 60)
    service.terminate()
    await buying
    assert service.wait_for_end() == 0, service.output
    assert any(row.due_at is not None for row in attempts_of(database_url, list(buyers.paid)))
    service = start("dev", DATABASE_URL=database_url, **LEASES)
    await buyers.buy(service.url, enough=lambda: not buyers.unanswered)
    assert await buyers.lost(service.url) == []
    assert violated_invariants(database_url, service.books) == []
