"""The rollup at work: what it counts, when, and how much at once, on both databases."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from unittest.mock import patch

import pytest
from sqlalchemy import select, update
from structlog.testing import capture_logs

from paidonce import ids
from paidonce.checkouts.actions import create_checkouts
from paidonce.checkouts.model import NewCheckout
from paidonce.clock import system_clock
from paidonce.database.batcher import Batcher, threaded_batcher
from paidonce.database.engine import open_database
from paidonce.database.schema import event, hourly_statistics
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url
from paidonce.events.store import write_events
from paidonce.statistics import actions, rollup
from paidonce.statistics.model import LogCount
from paidonce.statistics.rollup import EVENTS_MAX, Rollup
from tests.support.statistics_oracle import counted_directly, stored

SECONDS_MAX: Final = 90.0
NEVER: Final = 3600.0


class Process:
    """A process that writes events, and one that counts them: the same, or two."""

    def __init__(self, url: str) -> None:
        self.database = open_database(
            parse_database_url(url), clock=system_clock, before_commit=write_events, exclusive=False
        )
        self.writer, self.reader = (
            threaded_batcher(begin, name=name, queue_limit=10_000, batch_limit=64, chance=lambda: 0.5)
            for begin, name in ((self.database.write, "writer"), (self.database.read, "reader"))
        )

    async def create(self, *merchants: str, each: int = 1) -> None:
        """Create checkouts, each with its event."""
        new = [
            NewCheckout(
                id=ids.new_id(ids.CHECKOUT),
                merchant_id=merchant,
                idempotency_key=ids.new_id("key"),
                amount=1000,
                currency="USD",
            )
            for merchant in merchants
            for _ in range(each)
        ]
        await asyncio.gather(*(self.writer.submit(create_checkouts, one) for one in new))

    def counted(self, merchant_id: str | None = None) -> int:
        """Return how many checkouts are counted, of all merchants or of one."""
        with self.database.read() as transaction:
            rows = transaction.rows(select(hourly_statistics.c.merchant_id, hourly_statistics.c.checkouts_created))
        return sum(count for one, count in rows if merchant_id in (None, one))

    async def until_counted(self, number: int) -> None:
        await until(lambda: self.counted() >= number)
        assert stored(self.database) == counted_directly(self.database)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not condition():  # noqa: ASYNC110 - a thread makes it come true
            await asyncio.sleep(0.01)


@asynccontextmanager
async def process(url: str) -> AsyncIterator[Process]:
    opened = Process(url)
    await opened.writer.start()
    await opened.reader.start()
    try:
        yield opened
    finally:
        await opened.writer.stop()
        await opened.reader.stop()
        opened.database.close()


@asynccontextmanager
async def counting(
    process: Process, *, is_notified: bool = False, sweep_seconds: float = NEVER, poll_seconds: float = 0.001
) -> AsyncIterator[Rollup]:
    counting = Rollup(process.writer, process.reader, poll_seconds=poll_seconds, sweep_seconds=sweep_seconds)
    if is_notified:
        process.writer.add_commit_listener(counting.committed)
    counting.start()
    try:
        yield counting
    finally:
        await counting.stop()


def noting(batcher: Batcher, noted: list[tuple[str, Any, Any]]) -> Any:  # noqa: ANN401 - a patch
    """Note each request to a batcher, and its outcome."""
    submit = batcher.submit

    async def noted_submit(action: Any, request: Any) -> Any:  # noqa: ANN401 - the batcher's own
        outcome = await submit(action, request)
        noted.append((action.__name__, request, outcome))
        return outcome

    return patch.object(batcher, "submit", noted_submit)


async def test_what_this_process_commits_is_counted_without_looking_at_all_merchants(
    migrated_database_url: str,
) -> None:
    async with process(migrated_database_url) as one, counting(one, is_notified=True):
        await one.create("m1")
        await one.until_counted(1)  # By the sweep of the start, or by the commit.
        asked: list[tuple[str, Any, Any]] = []
        with noting(one.reader, asked):
            await one.create("m1", "m2")
            await one.until_counted(3)
    assert {action for action, _, _ in asked} == {"count_logs"}


async def test_what_another_process_commits_is_found_by_going_through_the_merchants(
    migrated_database_url: str,
) -> None:
    async with (
        process(migrated_database_url) as writing,
        process(migrated_database_url) as one,
        counting(one, sweep_seconds=0.01),
    ):
        await writing.create("m1", "m2")
        await one.until_counted(2)
        await writing.create("m2", "m3")
        await one.until_counted(4)


async def test_a_sweep_reads_a_page_of_merchants_at_a_time_and_all_in_the_end(migrated_database_url: str) -> None:
    with patch.object(rollup, "MERCHANTS_MAX", 3):
        async with process(migrated_database_url) as one:
            await one.create(*(f"m{number}" for number in range(10)))
            asked: list[tuple[str, Any, Any]] = []
            with noting(one.reader, asked):
                async with counting(one):
                    await one.until_counted(10)
    pages = [outcome for action, _, outcome in asked if action == "find_uncounted"]
    assert [len(page.tenants) for page in pages] == [3, 3, 3, 1]


async def test_a_long_backlog_is_counted_in_small_steps(migrated_database_url: str) -> None:
    async with process(migrated_database_url) as one:
        await one.create("m1", "m2", "m3", each=EVENTS_MAX // 2 + 10)
        counts: list[tuple[str, Any, Any]] = []
        steps: list[tuple[str, Any, Any]] = []
        with noting(one.writer, counts), noting(one.reader, steps):
            async with counting(one):
                await one.until_counted(3 * (EVENTS_MAX // 2 + 10))
    sizes = [count.to - count.after for _, count, _ in counts]
    assert sum(sizes) == 3 * (EVENTS_MAX // 2 + 10)
    of_steps = [sum(one.to - one.after for one in outcome) for action, _, outcome in steps if action == "count_logs"]
    assert max(of_steps) <= EVENTS_MAX
    assert len(of_steps) >= 2


async def test_commits_during_a_backlog_do_not_delay_it(migrated_database_url: str) -> None:
    async with process(migrated_database_url) as one:
        await one.create("m1", each=4 * EVENTS_MAX)
        is_over = asyncio.Event()

        async def go_on_selling() -> None:
            while not is_over.is_set():
                await one.create("m2")

        # What is committed meanwhile is due in an hour, and the backlog is not.
        async with counting(one, is_notified=True, poll_seconds=NEVER):
            selling = asyncio.create_task(go_on_selling())
            await until(lambda: one.counted("m1") == 4 * EVENTS_MAX)
            is_over.set()
            await selling


async def test_two_processes_that_count_the_same_logs_count_each_event_once(migrated_database_url: str) -> None:
    async with (
        process(migrated_database_url) as one,
        process(migrated_database_url) as other,
        counting(one, is_notified=True),
        counting(other, sweep_seconds=0.001),
    ):
        for _ in range(20):
            await one.create("m1", "m2", "m3", each=5)
        await one.until_counted(300)


def breaking(store_counts: Callable[..., Any]) -> Callable[..., Any]:
    def store_counts_or_break(transaction: Transaction, counts: Sequence[LogCount]) -> Any:  # noqa: ANN401 - as it is
        if any(one.tenant.merchant_id == "m2" for one in counts):
            raise ZeroDivisionError
        return store_counts(transaction, counts)

    return store_counts_or_break


@pytest.mark.parametrize("where", ["while reading", "while storing"])
async def test_a_log_that_cannot_be_counted_stops_no_other(migrated_database_url: str, where: str) -> None:
    async with process(migrated_database_url) as one:
        await one.create("m1", "m2", "m3")
        if where == "while reading":
            with one.database.write() as transaction:
                broken = update(event).where(event.c.merchant_id == "m2")
                transaction.run(broken.values(type="checkout.failed", detail="not JSON"))
            broken_action = actions.store_counts
        else:
            broken_action = breaking(actions.store_counts)
        with capture_logs() as logs, patch.object(rollup, "store_counts", broken_action):
            async with counting(one):
                await until(lambda: one.counted() == 2 and any(line["event"] == "log_not_counted" for line in logs))
            assert one.counted() == 2
    assert [line["merchant_id"] for line in logs if line["event"] == "log_not_counted"] == ["m2"]
