"""Where the batches of a batcher run, and what becomes of them when its event loop has ended."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from paidonce.database.batch import BatchResult, BatchRunner, Job
from paidonce.database.batcher import Batcher, Executor, ThreadExecutor
from paidonce.database.transaction import Transaction

SECONDS_MAX: Final = 90.0


@contextmanager
def begin() -> Iterator[Transaction]:
    yield cast("Transaction", SimpleNamespace(events=[], due={}))


@pytest.mark.parametrize("pid", [7, None])
def test_a_batcher_names_the_process_that_runs_its_actions(pid: int | None) -> None:
    assert Batcher(cast("Executor", SimpleNamespace(pid=pid)), limit=1).pid == pid


def test_what_is_queued_is_run_also_when_the_event_loop_has_closed_and_its_result_is_told_to_nobody() -> None:
    entered, gate = Event(), Event()
    ran: list[int] = []
    told: list[BatchResult] = []

    def run(_transaction: Transaction, requests: Sequence[int]) -> Sequence[int]:
        entered.set()
        assert gate.wait(SECONDS_MAX)
        ran.extend(requests)
        return requests

    def job(number: int) -> Job:
        return Job(number, cast("Any", run), number, time.monotonic())

    executor = ThreadExecutor(BatchRunner(begin, limit=1, chance=lambda: 0.0), name="test")

    async def begin_work() -> None:
        await executor.start(told.append)
        executor.execute(job(1))
        assert await asyncio.to_thread(entered.wait, SECONDS_MAX)

    asyncio.run(begin_work())
    executor.execute(job(2))
    gate.set()
    asyncio.run(asyncio.wait_for(executor.stop(), SECONDS_MAX))
    assert (ran, told) == ([1, 2], [])
