"""A database that is lost or full under load: 503 until it is back, and no acknowledged data is lost."""

import asyncio
import os
import resource
from collections.abc import Callable
from pathlib import Path
from random import Random

import httpx
import psycopg
import pytest

from tests.support.buyers import Buyers
from tests.support.merchant_client import MerchantClient, is_replayed
from tests.support.oracle import violated_invariants
from tests.support.service_process import ServiceProcess

KILLS = 24 if os.environ.get("PAIDONCE_PROOF") == "long" else 8
ANSWERS_BETWEEN_KILLS = 20
KILL_CONNECTIONS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@pytest.mark.longer_in_prove
async def test_connections_to_postgresql_that_are_killed_under_load_cost_no_acknowledged_write(
    start: Callable[..., ServiceProcess], postgres_url: str, chance: Random
) -> None:
    service = start("dev", DATABASE_URL=postgres_url).wait_until_ready()
    buyers = Buyers(chance)
    # At least two answers stand behind each payment: the buyers are buying until the last kill, and after it.
    enough = (KILLS + 2) * ANSWERS_BETWEEN_KILLS // 2
    buying = asyncio.create_task(buyers.buy(service.url, enough=lambda: len(buyers.paid) >= enough))
    killed = 0
    for kill in range(1, KILLS + 1):
        answers = kill * ANSWERS_BETWEEN_KILLS
        await buyers.until(lambda answers=answers: buyers.answers.total() >= answers)  # type: ignore[misc]
        killed += await asyncio.to_thread(kill_connections, postgres_url)
    await buying  # Has failed on an answer that was neither an acknowledgement nor a 503 with Retry-After.
    assert killed >= KILLS * 3 // 4  # A connection may be on its way, and not yet to be seen, when they are killed.
    assert await buyers.lost(service.url) == []
    assert violated_invariants(postgres_url, service.books) == []
    assert service.process.poll() is None


def kill_connections(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(KILL_CONNECTIONS).fetchone()
        assert row is not None
        count: int = row[0]
        return count


async def test_a_full_disk_is_answered_with_503_until_there_is_room_again_and_loses_nothing(
    start: Callable[..., ServiceProcess], sqlite_url: str, chance: Random
) -> None:
    service = start("dev", DATABASE_URL=sqlite_url).wait_until_ready()
    buyers = Buyers(chance)
    await buyers.buy(service.url, enough=lambda: len(buyers.paid) >= 10)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)  # It has inherited ours.
    async with MerchantClient(service.url) as shop:
        under_way = await shop.created()
        await shop.pay(under_way, "tok_delay_1500")
    limit_files(service, (largest_file(service.folder), before[1]))
    async with MerchantClient(service.url) as shop:
        key, refused, acknowledged = await create_until_refused(shop)
        problem = refused.json()
        assert (refused.status_code, problem["code"], problem["retryable"]) == (503, "database_unavailable", True)
        assert "Retry-After" in refused.headers
        assert [(await shop.get(one))["id"] for one in acknowledged] == acknowledged  # Reading needs no room.
        # The provider has answered within this time: there is no room to write down what.
        assert (await shop.get(under_way, wait_seconds=3))["status"] == "PROCESSING"
        limit_files(service, before)
        again = await shop.create(key)
        assert (again.status_code, is_replayed(again)) == (201, False)
        assert [(await shop.get(one))["status"] for one in acknowledged] == ["PENDING"] * len(acknowledged)
        assert (await shop.ended(under_way))["status"] == "COMPLETED"
    await buyers.buy(service.url, enough=lambda: len(buyers.paid) >= 20)
    assert await buyers.lost(service.url) == []
    assert violated_invariants(sqlite_url, service.books) == []


async def create_until_refused(shop: MerchantClient) -> tuple[str, httpx.Response, list[str]]:
    """Create until one is refused; returns the key and response of the refusal, and what was acknowledged before."""
    acknowledged: list[str] = []
    while True:
        key = f"key{len(acknowledged)}"
        answer = await shop.create(key)
        if answer.status_code != 201:
            return key, answer, acknowledged
        acknowledged.append(answer.json()["id"])


def limit_files(service: ServiceProcess, limit: tuple[int, int]) -> None:
    """Limit the size of files, for the server and its writer process."""
    for pid in (service.process.pid, service.writer_pid):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)


def largest_file(folder: Path) -> int:
    return max(path.stat().st_size for path in folder.iterdir())
