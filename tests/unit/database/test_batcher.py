"""The batcher: one commit for many requests, outcomes only after it, and failures that affect one request only."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator, MutableMapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from threading import Event
from types import SimpleNamespace
from typing import Any, cast
from weakref import ReferenceType, ref

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from structlog.testing import capture_logs

from paidonce.clock import system_clock
from paidonce.database import batch as module
from paidonce.database.batcher import Batcher, threaded_batcher
from paidonce.database.engine import Database, open_database
from paidonce.database.schema import attempt, checkout
from paidonce.database.transaction import DueKey, Transaction
from paidonce.database_url import parse_database_url
from paidonce.errors import CheckoutNotFound, DatabaseUnavailable, Overloaded

SECONDS_MAX = 90.0  # A thread that waits longer is stuck: the test fails instead of hanging.


class FakeDatabase:
    """Counts commits and rollbacks. ``may_commit`` delays each commit until the test releases it."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.due: dict[DueKey, int] = {}
        self.commits = 0
        self.rollbacks = 0
        self.may_commit = Event()
        self.may_commit.set()
        self.committing = Event()

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        try:
            yield cast("Transaction", self)
        except BaseException:
            self.rollbacks += 1
            raise
        self.committing.set()
        assert self.may_commit.wait(SECONDS_MAX)
        self.commits += 1


class Actions:
    """Two actions that record their requests, and a gate that blocks the thread."""

    def __init__(self) -> None:
        self.doubled: list[list[int]] = []
        self.negated: list[list[int]] = []
        self.entered = Event()
        self.gate = Event()

    def double(self, _transaction: Transaction, requests: Sequence[int]) -> list[int]:
        self.doubled.append(list(requests))
        if 13 in requests:
            message = "13 cannot be doubled"
            raise ValueError(message)
        return [2 * one for one in requests]

    def negate(self, _transaction: Transaction, requests: Sequence[int]) -> list[int | CheckoutNotFound]:
        self.negated.append(list(requests))
        return [CheckoutNotFound() if one == 0 else -one for one in requests]

    def hold(self, _transaction: Transaction, requests: Sequence[None]) -> Sequence[None]:
        self.entered.set()
        assert self.gate.wait(SECONDS_MAX)
        return requests


@asynccontextmanager
async def working(database: FakeDatabase, *, queue_limit: int = 1000, batch_limit: int = 256) -> AsyncIterator[Batcher]:
    one = threaded_batcher(
        database.begin, name="test", queue_limit=queue_limit, batch_limit=batch_limit, chance=lambda: 0.0
    )
    await one.start()
    yield one
    await one.stop()


@asynccontextmanager
async def held(one: Batcher, actions: Actions) -> AsyncIterator[None]:
    """Block the thread, so that all requests submitted meanwhile are in one batch."""
    holding = asyncio.create_task(one.submit(actions.hold, None))
    assert await asyncio.to_thread(actions.entered.wait, SECONDS_MAX)
    yield
    actions.gate.set()
    await holding


async def submitted(one: Batcher, action: Any, requests: Sequence[int]) -> list[asyncio.Task[Any]]:  # noqa: ANN401 - any action
    tasks = [asyncio.create_task(one.submit(action, request)) for request in requests]
    await asyncio.sleep(0)  # Once round the loop: each task has put its request into the queue.
    return tasks


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """Suppress log output, because formatting a traceback takes seconds."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase()


@pytest.fixture
def actions() -> Actions:
    return Actions()


async def test_requests_that_wait_together_share_one_commit(database: FakeDatabase, actions: Actions) -> None:
    async with working(database) as one:
        async with held(one, actions):
            tasks = await submitted(one, actions.double, range(12))
        assert await asyncio.gather(*tasks) == [2 * number for number in range(12)]
    assert actions.doubled == [list(range(12))]
    assert database.commits == 2  # The one that held the thread, and the batch.


async def test_each_kind_of_action_runs_once_over_its_requests(database: FakeDatabase, actions: Actions) -> None:
    async with working(database) as one:
        async with held(one, actions):
            tasks = [
                task
                for number in range(1, 6)
                for action in (actions.double, actions.negate)
                for task in await submitted(one, action, [number])
            ]
        assert await asyncio.gather(*tasks) == [2, -1, 4, -2, 6, -3, 8, -4, 10, -5]
    assert (actions.doubled, actions.negated) == ([[1, 2, 3, 4, 5]], [[1, 2, 3, 4, 5]])
    assert database.commits == 2


async def test_a_batch_has_a_limit(database: FakeDatabase, actions: Actions) -> None:
    async with working(database, batch_limit=4) as one:
        async with held(one, actions):
            tasks = await submitted(one, actions.double, range(10))
        await asyncio.gather(*tasks)
    assert [len(batch) for batch in actions.doubled] == [4, 4, 2]


async def test_an_action_that_fails_fails_only_its_own_request(
    database: FakeDatabase, actions: Actions, logged: list[MutableMapping[str, Any]]
) -> None:
    async with working(database) as one:
        async with held(one, actions):
            tasks = await submitted(one, actions.double, range(10, 20)) + await submitted(one, actions.negate, [7])
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[3], ValueError)
    assert outcomes[:3] + outcomes[4:] == [20, 22, 24, 28, 30, 32, 34, 36, 38, -7]
    assert database.rollbacks > 0
    assert [(entry["event"], entry["action"]) for entry in logged] == [("action_failed", "double")]


async def test_an_outcome_that_is_an_error_is_raised_to_its_own_client(
    database: FakeDatabase, actions: Actions
) -> None:
    async with working(database) as one:
        async with held(one, actions):
            tasks = await submitted(one, actions.negate, [1, 0, 2])
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert (outcomes[0], type(outcomes[1]), outcomes[2]) == (-1, CheckoutNotFound, -2)
    assert database.rollbacks == 0


async def test_a_refusal_leaves_nothing_to_the_garbage_collector(database: FakeDatabase, actions: Actions) -> None:
    async with working(database) as one:
        gc.disable()
        try:
            refusal = await _refused(one, actions)
            for _ in range(2):  # The thread holds what it returned last until it has returned something else.
                await one.submit(actions.double, 1)
            assert refusal() is None
        finally:
            gc.enable()


async def _refused(one: Batcher, actions: Actions) -> ReferenceType[CheckoutNotFound]:
    try:
        await one.submit(actions.negate, 0)
    except CheckoutNotFound as error:
        return ref(error)
    raise AssertionError("it was not refused")


async def test_no_outcome_is_returned_before_the_commit(database: FakeDatabase, actions: Actions) -> None:
    async with working(database) as one:
        database.may_commit.clear()
        (task,) = await submitted(one, actions.double, [1])
        assert await asyncio.to_thread(database.committing.wait, SECONDS_MAX)
        assert actions.doubled == [[1]]
        await asyncio.sleep(0)
        assert not task.done()
        database.may_commit.set()
        assert await task == 2


async def test_a_failed_commit_is_never_reported_as_success(actions: Actions) -> None:
    class Failing(FakeDatabase):
        @contextmanager
        def begin(self) -> Iterator[Transaction]:
            with super().begin() as transaction:
                yield transaction
            raise DatabaseUnavailable

    async with working(Failing()) as one:
        outcomes = await asyncio.gather(*await submitted(one, actions.double, range(5)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DatabaseUnavailable] * 5


async def test_a_full_queue_refuses_requests_before_they_run(database: FakeDatabase, actions: Actions) -> None:
    async with working(database, queue_limit=4) as one:  # The one that holds the thread, and three.
        async with held(one, actions):
            tasks = await submitted(one, actions.double, range(3))
            with pytest.raises(Overloaded):
                await one.submit(actions.double, 99)
        assert await asyncio.gather(*tasks) == [0, 2, 4]
        assert await one.submit(actions.double, 50) == 100
    assert 99 not in [number for batch in actions.doubled for number in batch]


async def test_a_request_that_waited_too_long_is_refused_and_never_begun(
    database: FakeDatabase, actions: Actions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working(database) as one:
        async with held(one, actions):
            (task,) = await submitted(one, actions.double, [1])
            monkeypatch.setattr(module, "WAIT_SECONDS_MAX", -1.0)  # As if it had waited since long.
        with pytest.raises(Overloaded):
            await task
    assert actions.doubled == []


def test_a_request_is_refused_after_five_seconds_and_not_before(database: FakeDatabase, actions: Actions) -> None:
    now = time.monotonic()
    jobs = [module.Job(number, actions.double, number, now - waited) for number, waited in enumerate((5.5, 4.0, 0.0))]
    results = dict(module.BatchRunner(database.begin, limit=4, chance=lambda: 0.0).run(jobs).results)
    assert isinstance(results.pop(0), Overloaded)
    assert (results, actions.doubled) == ({1: 2, 2: 4}, [[1, 2]])


async def test_a_client_that_has_gone_is_no_hindrance_and_its_request_is_committed(
    database: FakeDatabase, actions: Actions
) -> None:
    async with working(database) as one:
        async with held(one, actions):
            gone, stays = await submitted(one, actions.double, [1, 2])
            gone.cancel()
        assert await stays == 4
    assert actions.doubled == [[1, 2]]


async def test_an_action_with_too_few_outcomes_is_rolled_back(database: FakeDatabase) -> None:
    def forgetful(_transaction: Transaction, requests: Sequence[int]) -> Sequence[int]:
        return requests[1:]

    async with working(database) as one:
        with pytest.raises(ValueError, match="shorter"):
            await one.submit(forgetful, 1)
    assert (database.commits, database.rollbacks) == (0, 1)


async def test_what_waits_is_finished_before_the_end(database: FakeDatabase, actions: Actions) -> None:
    async with working(database) as one, held(one, actions):
        tasks = await submitted(one, actions.double, range(5))
    assert [task.result() for task in tasks] == [0, 2, 4, 6, 8]


async def test_the_end_waits_for_what_is_under_way(database: FakeDatabase, actions: Actions) -> None:
    async with working(database) as one:
        holding = asyncio.create_task(one.submit(actions.hold, None))
        assert await asyncio.to_thread(actions.entered.wait, SECONDS_MAX)
        (task,) = await submitted(one, actions.double, [3])
        ending = asyncio.create_task(one.stop())
        await asyncio.sleep(0)
        assert not ending.done()
        with pytest.raises(Overloaded):
            await one.submit(actions.double, 4)
        actions.gate.set()
        await ending
        assert (holding.done(), await task) == (True, 6)
    assert actions.doubled == [[3]]


async def test_a_commit_notice_names_the_tenants_with_new_events(database: FakeDatabase, actions: Actions) -> None:
    told: list[module.CommitNotice] = []
    async with working(database) as one:
        one.add_commit_listener(told.append)
        one.add_commit_listener(told.append)  # It is called once all the same.
        await one.submit(actions.double, 1)
        assert told == []  # A commit without an event, and without anything due, is told to nobody.
        database.events = [SimpleNamespace(tenant=name) for name in ("m1", "m2", "m1")]
        await one.submit(actions.double, 2)
    assert told == [module.CommitNotice(frozenset({"m1", "m2"}))]


async def test_a_commit_notice_tells_when_the_first_rows_are_due_by_table_and_worker(
    database: FakeDatabase, actions: Actions
) -> None:
    told: list[module.CommitNotice] = []
    async with working(database) as one:
        one.add_commit_listener(told.append)
        database.due = {DueKey("attempt", "stripe"): 7, DueKey("attempt", ""): 9, DueKey("delivery", ""): 5}
        await one.submit(actions.double, 1)
    assert [(notice.due_in(attempt), notice.due_in(checkout)) for notice in told] == [({"stripe": 7, "": 9}, {})]


def insert_numbers(transaction: Transaction, requests: Sequence[int]) -> Sequence[int]:
    for number in requests:
        transaction.run(text("INSERT INTO kept VALUES (:number)"), {"number": number})
    return requests


def kept_in(database: Database) -> list[int]:
    with database.read() as transaction:
        return [number for (number,) in transaction.rows(text("SELECT number FROM kept ORDER BY number"))]


async def test_on_a_real_database_one_bad_row_spoils_no_other_and_what_is_answered_is_there(database_url: str) -> None:
    database = open_database(parse_database_url(database_url), clock=system_clock)
    with database.writes.begin() as connection:
        connection.execute(text("CREATE TABLE kept (number INTEGER PRIMARY KEY CHECK (number <> 13))"))
    one = threaded_batcher(database.write, name="test", queue_limit=100, batch_limit=50, chance=lambda: 0.0)
    await one.start()
    outcomes = await asyncio.gather(*await submitted(one, insert_numbers, range(40)), return_exceptions=True)
    assert isinstance(outcomes.pop(13), IntegrityError)
    assert outcomes == [number for number in range(40) if number != 13] == kept_in(database)
    await one.stop()
    database.close()


async def test_a_database_that_is_gone_refuses_everybody_at_once_and_works_again_when_it_is_back(
    postgres_url: str,
) -> None:
    database = open_database(parse_database_url(postgres_url), clock=system_clock)
    with database.writes.begin() as connection:
        connection.execute(text("CREATE TABLE kept (number INTEGER PRIMARY KEY)"))
    one = threaded_batcher(database.write, name="test", queue_limit=100, batch_limit=50, chance=lambda: 0.0)
    await one.start()

    def lose_the_connection(transaction: Transaction, requests: Sequence[int]) -> Sequence[int]:
        transaction.run(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return requests

    with pytest.raises(DatabaseUnavailable):
        await one.submit(lose_the_connection, 1)
    assert await one.submit(insert_numbers, 2) == 2
    assert kept_in(database) == [2]
    await one.stop()
    database.close()
