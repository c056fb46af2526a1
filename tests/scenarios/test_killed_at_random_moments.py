"""kill -9 of server or writer at random moments: no acknowledged data is lost, all payments end, nobody pays twice."""

import asyncio
import os
import signal
from collections.abc import Callable
from random import Random

import pytest

from tests.support.buyers import Buyers
from tests.support.merchant_client import MerchantClient
from tests.support.oracle import attempts_of, violated_invariants
from tests.support.service_process import ServiceProcess, wait_until

KILLS = int(os.environ.get("KILLS") or 5)


@pytest.mark.timeout(300 + 60 * KILLS)  # A start takes a second or two where nothing else runs.
@pytest.mark.parametrize(
    ("victim", "status"), [("server", -9), ("writer", 1)]
)  # The server dies of its writer's death.
async def test_however_often_the_process_is_killed_what_it_acknowledged_holds_and_nobody_pays_twice(
    start: Callable[..., ServiceProcess], database_url: str, chance: Random, victim: str, status: int
) -> None:
    buyers = Buyers(chance)
    for _ in range(KILLS):
        service = start("dev", DATABASE_URL=database_url).wait_until_ready()
        pid = service.process.pid if victim == "server" else service.writer_pid
        asyncio.get_running_loop().call_later(chance.uniform(0.05, 0.6), os.kill, pid, signal.SIGKILL)
        await buyers.buy(service.url)
        assert service.wait_for_end() == status
        assert ("writer_process_lost" in service.output) == (victim == "writer")
    service = start("dev", DATABASE_URL=database_url)
    await buyers.buy(service.url, enough=lambda: not buyers.unanswered and len(buyers.paid) > KILLS)
    assert await buyers.lost(service.url) == []
    assert violated_invariants(database_url, service.books) == []
    assert len(buyers.paid) > KILLS


@pytest.mark.parametrize("method", ["tok_success", "tok_error_then_success"])
async def test_after_a_kill_the_next_process_on_a_sqlite_file_waits_for_no_lease_of_the_dead(
    start: Callable[..., ServiceProcess], sqlite_url: str, method: str
) -> None:
    long_leases = {"PAIDONCE_LEASE_SECONDS": "100", "PAIDONCE_SIMULATOR_LATENCY_MS": "800"}
    service = start("dev", DATABASE_URL=sqlite_url, **long_leases)
    async with MerchantClient(service.url) as shop:
        checkout_id = await shop.created()
        await shop.pay(checkout_id, method)
    # After an error the payment is taken up again, with its outcome still unknown: that is a lease like any other.
    taken = 1 if method == "tok_success" else 2
    wait_until(lambda: attempts_of(sqlite_url, [checkout_id])[0].fence == taken)
    service.kill()
    async with MerchantClient(start("dev", DATABASE_URL=sqlite_url, **long_leases).url) as shop:
        assert (await shop.ended(checkout_id))["status"] == "COMPLETED"
