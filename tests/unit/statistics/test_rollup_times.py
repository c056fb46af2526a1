"""When the rollup counts and for how long it rests: on a virtual clock, with both databases."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from paidonce import ids
from paidonce.checkouts.actions import create_checkouts
from paidonce.checkouts.model import NewCheckout
from paidonce.clock import system_clock
from paidonce.database.batch import BeginTransaction, CommitNotice
from paidonce.database.engine import Database, open_database
from paidonce.database_url import parse_database_url
from paidonce.events.store import write_events
from paidonce.merchants.actions import create_merchants
from paidonce.merchants.model import Tenant
from paidonce.statistics import rollup
from paidonce.statistics.actions import CountLogs, count_logs, store_counts
from paidonce.statistics.rollup import Rollup
from tests.proof.virtual_time import VirtualLoop, run

POLL_SECONDS: Final = 2.0
SWEEP_SECONDS: Final = 600.0
REQUEST_SECONDS: Final = 0.5


class TimedBatcher:
    """Runs each request in a transaction of its own. A request takes half a second of the virtual clock."""

    def __init__(self, begin: BeginTransaction, note: Callable[[str], None]) -> None:
        self._begin = begin
        self._note = note

    async def submit(self, action: Callable[..., Any], request: object) -> Any:  # noqa: ANN401 - as a batcher's
        self._note(action.__name__)
        await asyncio.sleep(REQUEST_SECONDS)
        with self._begin() as transaction:
            (outcome,) = action(transaction, [request])
        return outcome


class Counting:
    """A rollup on a virtual clock; ``asked`` holds the times at which it sent its requests, by the action's name."""

    def __init__(self, database: Database, loop: VirtualLoop) -> None:
        self.database = database
        self.asked: dict[str, list[float]] = {"find_uncounted": [], "count_logs": [], "store_counts": []}
        self.when_storing: list[Callable[[], None]] = []  # What happens just before counts are stored, one at each.

        def note(action: str) -> None:
            self.asked[action].append(round(loop.time(), 3))
            if action == "store_counts" and self.when_storing:
                self.when_storing.pop(0)()

        batchers: list[Any] = [TimedBatcher(begin, note) for begin in (database.write, database.read)]
        self.rollup = Rollup(*batchers, poll_seconds=POLL_SECONDS, sweep_seconds=SWEEP_SECONDS)

    def create(self, merchant_id: str, count: int = 1) -> None:
        """Create checkouts, each with one event, and tell the rollup of the commit."""
        new = [
            NewCheckout(
                id=ids.new_id(ids.CHECKOUT),
                merchant_id=merchant_id,
                idempotency_key=ids.new_id("key"),
                amount=1000,
                currency="USD",
            )
            for _ in range(count)
        ]
        with self.database.write() as transaction:
            create_checkouts(transaction, new)
        self.rollup.committed(CommitNotice(frozenset({Tenant(merchant_id, "test")})))

    def count_in_another_process(self, merchant_id: str) -> None:
        with self.database.read() as transaction:
            ((counted,),) = count_logs(transaction, [CountLogs([Tenant(merchant_id, "test")], 1000)])
        with self.database.write() as transaction:
            assert store_counts(transaction, [counted]) == [True]

    async def until(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(seconds - loop.time())


Story = Callable[[Counting], Coroutine[Any, Any, None]]


@pytest.fixture
def tell(migrated_database_url: str) -> Callable[[Story], None]:
    """Run a story with a rollup that is started at 0 s and stopped after it."""

    @contextmanager
    def opened() -> Iterator[Database]:
        database = open_database(
            parse_database_url(migrated_database_url), clock=system_clock, before_commit=write_events
        )
        try:
            yield database
        finally:
            database.close()

    def told(story: Story) -> None:
        async def main(loop: VirtualLoop) -> None:
            with opened() as database:
                counting = Counting(database, loop)
                await story(counting)
                await counting.rollup.stop()

        run(main)

    return told


def test_between_two_steps_over_a_backlog_it_rests_nine_times_as_long_as_the_step_took(
    tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollup, "EVENTS_MAX", 2)

    async def story(counting: Counting) -> None:
        counting.create("m1", 5)
        counting.rollup.start()
        await counting.until(100)
        # The first step looks at the merchants, too: it takes 1.5 s. The next one takes 1 s.
        assert counting.asked["count_logs"] == [0.5, 15, 25]
        assert counting.asked["store_counts"] == [1, 15.5, 25.5]

    tell(story)


def test_commits_shorten_no_rest_between_steps_over_a_backlog(
    tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollup, "EVENTS_MAX", 2)

    async def story(counting: Counting) -> None:
        counting.when_storing = [lambda: counting.create("m2")]  # During the first step.
        counting.create("m1", 3)
        counting.rollup.start()
        await counting.until(5)
        counting.create("m3")  # During the rest after it.
        await counting.until(100)
        assert counting.asked["count_logs"][:2] == [0.5, 15]

    tell(story)


def test_all_merchants_are_looked_at_once_page_by_page_and_then_one_page_at_each_interval(
    tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollup, "MERCHANTS_MAX", 2)

    async def story(counting: Counting) -> None:
        with counting.database.write() as transaction:
            create_merchants(transaction, ["m1", "m2", "m3", "m4"])
        counting.rollup.start()
        await counting.until(1500)
        assert counting.asked == {"find_uncounted": [0, 5, 10, 610, 1210], "count_logs": [], "store_counts": []}

    tell(story)


def test_what_is_committed_while_it_is_idle_is_counted_together_after_the_poll_interval(
    tell: Callable[[Story], None],
) -> None:
    async def story(counting: Counting) -> None:
        counting.rollup.start()
        await counting.until(50)
        counting.create("m1")
        await counting.until(51)
        counting.create("m2")
        await counting.until(100)
        assert counting.asked == {"find_uncounted": [0], "count_logs": [52], "store_counts": [52.5, 52.5]}

    tell(story)


def test_what_is_committed_during_a_step_is_counted_after_the_poll_interval(tell: Callable[[Story], None]) -> None:
    async def story(counting: Counting) -> None:
        counting.when_storing = [lambda: counting.create("m2")]
        counting.create("m1")
        counting.rollup.start()
        await counting.until(100)
        assert counting.asked["count_logs"] == [0.5, 1.5 + POLL_SECONDS]

    tell(story)


def test_a_log_that_another_process_is_counting_is_left_to_it_until_the_next_sweep(
    tell: Callable[[Story], None],
) -> None:
    async def story(counting: Counting) -> None:
        counting.when_storing = [lambda: counting.count_in_another_process("m1")]
        counting.create("m1")
        counting.rollup.start()
        await counting.until(1000)
        assert counting.asked["count_logs"] == [0.5, 1.5 + SWEEP_SECONDS + REQUEST_SECONDS]
        assert counting.asked["store_counts"] == [1]

    tell(story)
