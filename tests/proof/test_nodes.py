"""A node of a Citus cluster that is killed, or becomes silent, while merchants of all nodes create and pay steadily.

``TEST_CITUS_KILL`` kills, starts, pauses and resumes nodes for real.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.proof.steady_merchants import SteadyMerchants
from tests.support.citus import (
    kill_node,
    merchants_on_node,
    pause_node,
    require_cluster,
    require_killing,
    resume_node,
    start_node,
)
from tests.support.merchant_client import MerchantClient, a_few_at_a_time
from tests.support.oracle import violated_invariants
from tests.support.service_process import ServiceProcess, processes

MERCHANTS: Final = [f"m{number}" for number in range(40)]
KILLS: Final = 5
PAUSES: Final = 2
CALLS_BETWEEN: Final = 3  # Of each merchant, before the node is lost and while it is.
STALL_SECONDS_MAX: Final = 2.0
# A silent node is noticed after two seconds. What was under way has locked rows on living nodes for ten at most.
SILENT_STALL_SECONDS_MAX: Final = 20.0

Report = Callable[[str], None]
Start = Callable[..., ServiceProcess]

pytestmark = [pytest.mark.in_prove, pytest.mark.timeout(600)]


class Outages:
    """The last node of the cluster is lost again and again; ``stalls`` are the longest calls after each return."""

    def __init__(self, start: Start, lose: Callable[[int], None], bring_back: Callable[[int], None]) -> None:
        self.service = start("serve").wait_until_ready()
        self.operator_key = start("keys", "create", "--admin").wait_for_line("sk_").strip()
        self.merchants = SteadyMerchants(self.service.url, self.operator_key, MERCHANTS)
        self.stalls: list[float] = []
        self.stalls_of_living: list[float] = []
        self._lose = lose
        self._bring_back = bring_back
        self._number = len(require_cluster()) - 1
        self._gone: set[str] = set()

    async def run(self, times: int) -> None:
        trading = asyncio.create_task(self.merchants.run())
        try:
            # Where a merchant's rows are follows from its name.
            self._gone = await asyncio.to_thread(
                merchants_on_node, self.service.database_url, MERCHANTS, number=self._number
            )
            assert 0 < len(self._gone) < len(MERCHANTS)
            await self.merchants.until_served(MERCHANTS, since=0.0, times=CALLS_BETWEEN)
            for _ in range(times):
                await self._lose_once()
        finally:
            self.merchants.stop()
            await trading

    async def _lose_once(self) -> None:
        began = time.monotonic()
        await asyncio.to_thread(self._lose, self._number)
        with ExitStack() as stack:
            stack.callback(self._bring_back, self._number)
            lost = time.monotonic()
            self.merchants.refused.clear()
            await self.merchants.until(lambda: self.merchants.refused & self._gone != set())
            await self.merchants.until_served(set(MERCHANTS) - self._gone, since=lost, times=CALLS_BETWEEN)
            stack.pop_all()
        self.stalls_of_living.append(
            self.merchants.longest_seconds(began, time.monotonic(), of=set(MERCHANTS) - self._gone)
        )
        await asyncio.to_thread(self._bring_back, self._number)
        back = time.monotonic()
        await self.merchants.until_served(MERCHANTS, since=back, times=CALLS_BETWEEN)
        self.stalls.append(self.merchants.longest_seconds(back, time.monotonic()))

    async def violations(self) -> list[str]:
        """Return what was acknowledged and is wrong, after all payments have ended."""
        async with MerchantClient(self.service.url) as client:
            client.http.headers["Authorization"] = f"Bearer {self.operator_key}"
            ended = await a_few_at_a_time(client.ended, sorted(self.merchants.paid))
        wrong = [f"{one['id']} was paid and is {one['status']}" for one in ended if one["status"] != "COMPLETED"]
        return wrong + violated_invariants(self.service.database_url, self.service.books)

    def figures(self, what: str) -> str:
        calls = self.merchants.calls
        return (
            f"a node {what} {len(self.stalls)} times: {len(calls)} calls of {len(MERCHANTS)} merchants acknowledged, "
            f"{len(self.merchants.paid)} payments; longest call after its return "
            f"{', '.join(f'{one:.2f}' for one in self.stalls)} s, of merchants of living nodes while it was lost "
            f"{', '.join(f'{one:.2f}' for one in self.stalls_of_living)} s"
        )


@pytest.fixture
def start(postgres_url: str, tmp_path: Path) -> Iterator[Start]:
    """Start processes with API keys on a distributed database; none outlives the test."""
    require_cluster()
    require_killing()
    with processes(tmp_path) as started:
        yield partial(started, DATABASE_URL=postgres_url, PAIDONCE_AUTH="keys")


async def test_no_call_takes_longer_than_two_seconds_after_the_return_of_a_node_that_is_killed_again_and_again(
    start: Start, report: Report
) -> None:
    outages = Outages(start, kill_node, start_node)
    await outages.run(KILLS)
    report(outages.figures("killed"))
    assert await outages.violations() == []
    assert max(outages.stalls) < STALL_SECONDS_MAX


async def test_merchants_of_living_nodes_are_served_while_a_node_is_silent(start: Start, report: Report) -> None:
    outages = Outages(start, pause_node, resume_node)
    await outages.run(PAUSES)
    report(outages.figures("silent"))
    assert await outages.violations() == []
    assert max(outages.stalls) < STALL_SECONDS_MAX
    assert max(outages.stalls_of_living) < SILENT_STALL_SECONDS_MAX
