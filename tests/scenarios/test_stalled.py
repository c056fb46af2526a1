"""A machine that stalls beyond its leases and resumes: it changes nothing, and charges nothing."""

import os
import signal
from collections.abc import Callable

import pytest

from paidonce.clock import system_clock
from tests.support.merchant_client import MerchantClient
from tests.support.oracle import attempts_of, charges_of, expire_leases, violated_invariants
from tests.support.service_process import ServiceProcess, wait_until

SHORT = {"PAIDONCE_LEASE_SECONDS": "2", "PAIDONCE_PROVIDER_TIMEOUT_SECONDS": "1.6"}
LONG = {"PAIDONCE_LEASE_SECONDS": "120", "PAIDONCE_PROVIDER_TIMEOUT_SECONDS": "100"}
# Whoever stalls, and whoever takes over, is in the middle of its call for long enough.
SLOW = "tok_delay_4000"


@pytest.mark.parametrize("stalled", [("worker", "writer"), ("worker",), ("writer",)], ids="-and-".join)
async def test_a_worker_that_stalled_past_its_leases_changes_no_row_that_another_took_over(
    start: Callable[..., ServiceProcess], postgres_url: str, stalled: tuple[str, ...]
) -> None:
    server = start("serve", "--no-worker", DATABASE_URL=postgres_url)
    stalling = start("worker", DATABASE_URL=postgres_url, **LONG).wait_until_ready()
    async with MerchantClient(server.url) as shop:
        ids = [await shop.created() for _ in range(5)]
        for checkout_id in ids:
            await shop.pay(checkout_id, SLOW)
        wait_until(lambda: fences(postgres_url, ids) == [1] * 5)
        pids = {"worker": stalling.process.pid, "writer": stalling.writer_pid}
        for name in stalled:
            os.kill(pids[name], signal.SIGSTOP)
        expire_leases(postgres_url, ids)
        other = start("worker", DATABASE_URL=postgres_url, **LONG).wait_until_ready()
        wait_until(lambda: fences(postgres_url, ids) == [2] * 5)
        for name in stalled:  # What it records now, an outcome or that it is unknown, is of a lease that it has lost.
            os.kill(pids[name], signal.SIGCONT)
        ended = [await shop.ended(checkout_id) for checkout_id in ids]
        timelines = [await shop.timeline(checkout_id) for checkout_id in ids]
    for worker in (stalling, other):  # Ends when nothing is in its hands any more.
        worker.terminate()
        assert worker.wait_for_end() == 0
    assert [checkout["status"] for checkout in ended] == ["COMPLETED"] * 5
    assert {entry["type"] for entries in timelines for entry in entries} == {
        "checkout.created",
        "checkout.processing",
        "checkout.completed",
    }
    attempts = attempts_of(postgres_url, ids)
    assert [(row.status, row.fence, row.lookup_count) for row in attempts] == [("SUCCEEDED", 2, 0)] * 5
    assert [len(charges_of(server.books, checkout_id)) for checkout_id in ids] == [1] * 5
    assert violated_invariants(postgres_url, server.books) == []


async def test_a_process_that_stalled_past_its_own_leases_ends_every_payment_with_one_charge(
    start: Callable[..., ServiceProcess], database_url: str
) -> None:
    service = start("dev", DATABASE_URL=database_url, **SHORT)
    async with MerchantClient(service.url) as shop:
        ids = [await shop.created() for _ in range(5)]
        for checkout_id in ids:
            await shop.pay(checkout_id, "tok_delay_1300")
        leases_end_at = max(row.due_at for row in attempts_of(database_url, ids))
        service.stop()
        wait_until(lambda: system_clock() > leases_end_at)
        service.resume()
        ended = [await shop.ended(checkout_id) for checkout_id in ids]
    assert [checkout["status"] for checkout in ended] == ["COMPLETED"] * 5
    assert [len(charges_of(service.books, checkout_id)) for checkout_id in ids] == [1] * 5
    assert violated_invariants(database_url, service.books) == []


def fences(url: str, ids: list[str]) -> list[int]:
    """Read how often each payment was claimed."""
    return [row.fence for row in attempts_of(url, ids)]
