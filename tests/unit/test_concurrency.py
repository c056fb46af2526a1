"""Fair sharing: requests, releases and cancellations in any order, compared with a model."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Final

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from paidonce.concurrency import ConcurrencyPerName, FairConcurrencyLimiter, QueueFull, SharedBudget

PLACES: Final = 2
WAITING_MAX: Final = 4
NAMES: Final = ("ada", "bob", "cyd")
SOON: Final = 90.0  # Far more than anything here takes.


class Asking:
    """A request of ``name``. ``grants_allowed`` is how many of each other name may be served before it."""

    def __init__(self, name: str, grants_allowed: int) -> None:
        self.name = name
        self.grants_allowed = grants_allowed
        self.others: Counter[str] = Counter()
        self.is_cancelled = False
        self.holds = False
        self.task: asyncio.Task[None]


class Requests(RuleBasedStateMachine):
    """Requests that come, end and are cancelled in any order, also between a grant and the next step of its task."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.limiter = FairConcurrencyLimiter(PLACES, waiting_max=WAITING_MAX)
        self.waiting: list[Asking] = []  # In the order in which they came.
        self.working: list[Asking] = []

    def teardown(self) -> None:
        for one in list(self.waiting):
            one.task.cancel()
        self.turn_the_loop(3)
        while self.working:
            self.working.pop()
            self.limiter.release()
        assert self.limiter.free == PLACES, "a place was lost, or given back twice"
        self.loop.close()

    def turn_the_loop(self, times: int) -> None:
        for _ in range(times):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    async def ask(self, one: Asking) -> None:
        await self.limiter.acquire(one.name)
        self.waiting.remove(one)
        self.working.append(one)
        one.holds = True
        for other in self.waiting:
            if other.name != one.name:
                other.others[one.name] += 1

    @rule(name=st.sampled_from(NAMES))
    def come(self, name: str) -> None:
        self.turn_the_loop(3)  # So that the order of arrival is the model's.
        ahead = sum(other.name == name for other in self.waiting)
        if ahead == WAITING_MAX:
            with pytest.raises(QueueFull):
                self.loop.run_until_complete(self.limiter.acquire(name))
            return
        one = Asking(name, grants_allowed=ahead + 1)
        self.waiting.append(one)
        one.task = self.loop.create_task(self.ask(one))
        self.turn_the_loop(1)

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        self.working.remove(data.draw(st.sampled_from(self.working)))
        self.limiter.release()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.waiting))
        one.task.cancel()
        one.is_cancelled = True
        self.waiting.remove(one)

    @rule()
    def let_it_be_heard(self) -> None:
        self.turn_the_loop(1)

    @invariant()
    def no_more_work_than_there_are_places(self) -> None:
        assert len(self.working) <= PLACES

    @invariant()
    def nobody_waits_for_more_than_the_shares_of_others(self) -> None:
        for one in self.waiting:
            assert all(count <= one.grants_allowed for count in one.others.values()), (one.name, one.others)

    @rule()
    def no_place_is_free_while_somebody_waits(self) -> None:
        self.turn_the_loop(4)
        assert len(self.working) == PLACES or not self.waiting
        assert self.limiter.free == PLACES - len(self.working)


test_requests_in_any_order_have_their_fair_share = Requests.TestCase


@contextmanager
def waiting(limiter: FairConcurrencyLimiter, *names: str) -> Iterator[list[str]]:
    """Request a place for each name in turn; yields the names in the order of admission."""
    entered: list[str] = []

    async def enter(name: str) -> None:
        await limiter.acquire(name)
        entered.append(name)

    tasks = [asyncio.create_task(enter(name), name=f"{name} {number}") for number, name in enumerate(names)]
    try:
        yield entered
    finally:
        for task in tasks:
            task.cancel()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_backlog_is_served_in_turn_with_another_name_however_long_it_has_waited() -> None:
    limiter = FairConcurrencyLimiter(1, waiting_max=1000)
    await limiter.acquire("flood")
    with waiting(limiter, *["flood"] * 500) as flood:
        await settle()
        for number in range(1, 4):
            with waiting(limiter, "other") as other:
                await settle()
                for _ in range(2):
                    limiter.release()
                    await settle()
            assert (len(flood), other) == (number, ["other"])


async def test_a_name_that_is_alone_has_every_place() -> None:
    limiter = FairConcurrencyLimiter(5, waiting_max=1)
    async with asyncio.timeout(SOON):
        for _ in range(5):
            await limiter.acquire("alone")
    assert limiter.free == 0


async def test_within_a_name_who_came_first_is_first() -> None:
    limiter = FairConcurrencyLimiter(1, waiting_max=10)
    await limiter.acquire("a")
    order = []

    async def enter(number: int) -> None:
        await limiter.acquire("a")
        order.append(number)

    tasks = [asyncio.ensure_future(enter(number)) for number in range(5)]
    await settle()
    for _ in tasks:
        limiter.release()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("turns_before", "turns_between"), list(product(range(3), range(3))))
async def test_whoever_is_cancelled_in_the_moment_of_their_turn_frees_the_place(
    turns_before: int, turns_between: int
) -> None:
    limiter = FairConcurrencyLimiter(1, waiting_max=10)
    await limiter.acquire("a")
    cancelled = asyncio.ensure_future(limiter.acquire("b"))
    behind = asyncio.ensure_future(limiter.acquire("c"))
    for _ in range(turns_before + 1):
        await asyncio.sleep(0)
    limiter.release()
    for _ in range(turns_between):
        await asyncio.sleep(0)
    if not cancelled.cancel():
        limiter.release()  # It had heard of its place, and ends.
    async with asyncio.timeout(SOON):
        await behind
    limiter.release()
    assert limiter.free == 1


async def test_whoever_leaves_the_queue_makes_room_in_it() -> None:
    limiter = FairConcurrencyLimiter(1, waiting_max=1)
    await limiter.acquire("a")
    first = asyncio.ensure_future(limiter.acquire("a"))
    await settle()
    with pytest.raises(QueueFull):
        await limiter.acquire("a")
    first.cancel()
    await settle()
    second = asyncio.ensure_future(limiter.acquire("a"))
    await settle()
    limiter.release()
    async with asyncio.timeout(SOON):
        await second


async def test_whoever_is_cancelled_as_a_place_becomes_free_costs_their_name_no_turn() -> None:
    limiter = FairConcurrencyLimiter(1, waiting_max=10)
    await limiter.acquire("x")
    with waiting(limiter, "b", "b", "c") as entered:
        await settle()
        first = next(task for task in asyncio.all_tasks() if task.get_name() == "b 0")
        first.cancel()
        limiter.release()  # Before the task has heard that it is cancelled.
        await settle()
        assert entered == ["b"]


def test_each_name_is_counted_for_itself() -> None:
    counts = ConcurrencyPerName(2)
    assert [counts.enter("a"), counts.enter("a"), counts.enter("a"), counts.enter("b")] == [True, True, False, True]
    counts.leave("a")
    assert [counts.enter("a"), counts.enter("a")] == [True, False]


def test_of_a_budget_a_name_alone_has_half_and_something_is_left_for_who_has_nothing() -> None:
    budget = SharedBudget(1200)

    def fill(name: str) -> int:
        count = 0
        while budget.has_room(name):
            budget.charge(name, 1)
            count += 1
        return count

    assert (fill("a"), fill("b"), fill("c")) == (600, 300, 150)
    assert budget.has_room("d")
    budget.release("a", 600)
    assert (budget.held("a"), budget.has_room("a"), budget.has_room("b")) == (0, True, True)


def test_a_budget_that_is_used_up_has_room_for_nobody_until_it_is_given_back() -> None:
    budget = SharedBudget(100)
    budget.charge("a", 150)
    assert not budget.has_room("b")
    budget.release("a", 150)
    assert budget.has_room("b")
