"""The poller, on a virtual clock."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs

from paidonce.errors import DatabaseUnavailable, Overloaded
from paidonce.jobs.poller import AT_ONCE, BACKOFF_SECONDS_MAX, Poller
from tests.proof.virtual_time import VirtualLoop, run


class Steps:
    """A step that notes when it runs, takes ``seconds``, and returns or raises what it is told to."""

    def __init__(self, loop: VirtualLoop, *, seconds: float = 0.0) -> None:
        self._loop = loop
        self._seconds = seconds
        self.outcomes: list[float | Exception | None] = []
        self.began: list[float] = []
        self.ended = 0

    async def __call__(self) -> float | None:
        self.began.append(round(self._loop.time(), 3))
        await asyncio.sleep(self._seconds)
        self.ended += 1
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def on_a_virtual_clock(story: Callable[[Steps], Coroutine[Any, Any, None]], *, step_seconds: float = 0.0) -> None:
    run(lambda loop: story(Steps(loop, seconds=step_seconds)))


def test_a_step_is_repeated_at_the_interval() -> None:
    async def story(steps: Steps) -> None:
        poller = Poller("test", steps, poll_seconds=10)
        poller.start()
        await asyncio.sleep(25)
        await poller.stop()
        assert steps.began == [0, 10, 20]

    on_a_virtual_clock(story)


def test_a_step_that_has_more_to_do_is_repeated_at_once_and_one_that_names_a_time_is_repeated_then() -> None:
    async def story(steps: Steps) -> None:
        steps.outcomes = [AT_ONCE, AT_ONCE, 3.0]
        poller = Poller("test", steps, poll_seconds=10)
        poller.start()
        await asyncio.sleep(6)
        await poller.stop()
        assert steps.began == [0, 0, 0, 3]

    on_a_virtual_clock(story)


def test_a_wake_up_starts_a_step_and_one_during_a_step_starts_another() -> None:
    async def story(steps: Steps) -> None:
        poller = Poller("test", steps, poll_seconds=100)
        poller.start()
        await asyncio.sleep(7)
        poller.wake()
        await asyncio.sleep(1)  # The step that began at 7 runs.
        poller.wake()
        await asyncio.sleep(20)
        await poller.stop()
        assert steps.began == [0, 7, 9]

    on_a_virtual_clock(story, step_seconds=2)


def test_wake_ups_within_the_delay_are_one_step() -> None:
    async def story(steps: Steps) -> None:
        poller = Poller("test", steps, poll_seconds=100, wake_delay_seconds=1)
        poller.start()
        await asyncio.sleep(5)
        for _ in range(3):
            poller.wake()
            await asyncio.sleep(0.3)
        await asyncio.sleep(10)
        await poller.stop()
        assert steps.began == [0, 6]

    on_a_virtual_clock(story)


@pytest.mark.parametrize("error", [DatabaseUnavailable(), Overloaded(), ZeroDivisionError()])
def test_a_step_that_fails_is_repeated_with_exponential_backoff_until_it_succeeds(error: Exception) -> None:
    async def story(steps: Steps) -> None:
        steps.outcomes = [error] * 5
        poller = Poller("test", steps, poll_seconds=1)
        with capture_logs() as lines:
            poller.start()
            await asyncio.sleep(1 + 2 + 4 + 2 * BACKOFF_SECONDS_MAX + 1.5)
            await poller.stop()
        assert steps.began == [0, 1, 3, 7, 12, 17, 18]
        event = "poller_failed" if isinstance(error, ZeroDivisionError) else "poller_waits"
        assert [(line["event"], line["poller"]) for line in lines] == [(event, "test")] * 5

    on_a_virtual_clock(story)


def test_a_wake_up_does_not_shorten_the_backoff_and_backoff_is_never_longer_than_its_maximum() -> None:
    async def story(steps: Steps) -> None:
        steps.outcomes = [Overloaded()]
        poller = Poller("test", steps, poll_seconds=600)
        poller.start()
        await asyncio.sleep(1)
        poller.wake()
        await asyncio.sleep(10)
        await poller.stop()
        assert steps.began == [0, BACKOFF_SECONDS_MAX]

    on_a_virtual_clock(story)


def test_a_success_ends_the_backoff() -> None:
    async def story(steps: Steps) -> None:
        steps.outcomes = [Overloaded(), Overloaded(), None, Overloaded()]
        poller = Poller("test", steps, poll_seconds=1)
        poller.start()
        await asyncio.sleep(5.5)
        await poller.stop()
        assert steps.began == [0, 1, 3, 4, 5]

    on_a_virtual_clock(story)


@pytest.mark.parametrize("step_seconds", [0, 2])
@pytest.mark.parametrize("outcome", [None, 50.0, Overloaded()])
def test_a_stop_ends_every_wait_and_waits_for_the_step_that_runs(
    outcome: float | Exception | None, step_seconds: float
) -> None:
    async def story(steps: Steps) -> None:
        steps.outcomes = [outcome]
        poller = Poller("test", steps, poll_seconds=100)
        states = [poller.is_running]
        poller.start()
        states.append(poller.is_running)
        await asyncio.sleep(1)
        await poller.stop()
        assert [*states, poller.is_running] == [False, True, False]
        assert (steps.ended, steps.began) == (1, [0])
        assert asyncio.get_running_loop().time() == max(1, step_seconds)

    on_a_virtual_clock(story, step_seconds=step_seconds)


def test_a_poller_that_was_never_started_can_be_stopped() -> None:
    async def story(steps: Steps) -> None:
        await Poller("test", steps, poll_seconds=1).stop()
        assert steps.began == []

    on_a_virtual_clock(story)


def test_an_idle_poller_polls_less_and_less_often_until_it_is_woken() -> None:
    async def story(steps: Steps) -> None:
        poller = Poller("test", steps, poll_seconds=1, idle_seconds_max=2)
        poller.start()
        await asyncio.sleep(7)
        assert steps.began == [0, 1, 2.5, 4.5, 6.5]
        poller.wake()
        await asyncio.sleep(1.5)
        await poller.stop()
        assert steps.began[5:] == [7, 8]

    on_a_virtual_clock(story)


def test_a_step_that_finds_something_sets_the_interval_of_an_idle_poller_back() -> None:
    async def story(steps: Steps) -> None:
        steps.outcomes = [None, None, 0.5]
        poller = Poller("test", steps, poll_seconds=1, idle_seconds_max=4)
        poller.start()
        await asyncio.sleep(5)
        await poller.stop()
        assert steps.began == [0, 1, 2.5, 3, 4]

    on_a_virtual_clock(story)


def test_a_step_runs_when_something_is_due_and_then_as_often_as_after_a_wake_up() -> None:
    async def story(steps: Steps) -> None:
        poller = Poller("test", steps, poll_seconds=4, idle_seconds_max=20)
        poller.start()
        await asyncio.sleep(11)
        assert steps.began == [0, 4, 10]
        poller.wake_in(5)
        poller.wake_in(3)  # The earliest counts.
        poller.wake_in(4)
        await asyncio.sleep(8)
        await poller.stop()
        assert steps.began[3:] == [14, 18]

    on_a_virtual_clock(story)


def test_what_is_due_already_is_a_wake_up() -> None:
    async def story(steps: Steps) -> None:
        poller = Poller("test", steps, poll_seconds=10)
        poller.start()
        for seconds in (0, -1):
            await asyncio.sleep(1)
            poller.wake_in(seconds)
        await asyncio.sleep(1)
        await poller.stop()
        assert steps.began == [0, 1, 2]

    on_a_virtual_clock(story)


def test_what_is_due_later_than_the_longest_interval_is_left_to_a_later_step() -> None:
    async def story(steps: Steps) -> None:
        poller = Poller("test", steps, poll_seconds=10, idle_seconds_max=12)
        poller.start()
        await asyncio.sleep(1)
        poller.wake_in(12.5)
        await asyncio.sleep(14)
        assert steps.began == [0, 10]
        poller.wake_in(12)
        await asyncio.sleep(13)
        await poller.stop()
        assert steps.began == [0, 10, 22, 27]

    on_a_virtual_clock(story)


def test_a_step_that_always_has_more_to_do_and_never_waits_lets_others_run() -> None:
    async def story(_: Steps) -> None:
        steps = 0
        others: list[int] = []

        async def step() -> float | None:
            nonlocal steps
            steps += 1
            return AT_ONCE if steps < 1000 else None

        async def other() -> None:
            others.append(steps)

        poller = Poller("test", step, poll_seconds=10)
        poller.start()
        await asyncio.create_task(other())
        await poller.stop()
        assert others[0] < 1000

    on_a_virtual_clock(story)
