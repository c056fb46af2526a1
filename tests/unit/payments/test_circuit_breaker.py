import pytest

from paidonce.payments.circuit_breaker import CircuitBreaker
from paidonce.providers.evidence import Declined, Evidence, NotDone, NotFound, Succeeded, Unknown

UNKNOWN = Unknown("no answer in time")
OPENS_AFTER = 50  # Outcomes without a proof in a row.
PAUSE_MS_MIN, PAUSE_MS_MAX = 1_000, 60_000


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(200, clock=clock, chance=lambda: 0.5)


def answer(breaker: CircuitBreaker, evidence: Evidence, times: int = 1) -> None:
    """Have calls that are running end with this evidence."""
    for _ in range(times):
        breaker.record(evidence)
        breaker.release()


def pause_ms(breaker: CircuitBreaker, clock: Clock) -> int:
    """Return for how long no call is permitted."""
    began = clock.now
    while not breaker.free:
        clock.now += 10
    return clock.now - began


def test_as_many_calls_are_permitted_as_may_run_at_the_same_time(breaker: CircuitBreaker) -> None:
    assert (breaker.acquire_up_to(150), breaker.acquire_up_to(150), breaker.acquire()) == (150, 50, False)
    breaker.release(3)
    assert breaker.free == 3


def test_too_many_outcomes_without_a_proof_in_a_row_open_the_breaker_and_a_proof_in_between_keeps_it_closed(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    breaker.acquire_up_to(2 * OPENS_AFTER)
    answer(breaker, UNKNOWN, OPENS_AFTER - 1)
    assert breaker.free > 0
    answer(breaker, Declined("do_not_honor"))
    answer(breaker, UNKNOWN, OPENS_AFTER - 1)
    assert breaker.free > 0
    answer(breaker, UNKNOWN)
    assert breaker.free == 0
    assert pause_ms(breaker, clock) == PAUSE_MS_MIN


def test_an_operation_that_is_not_found_neither_opens_nor_closes_the_breaker(breaker: CircuitBreaker) -> None:
    breaker.acquire_up_to(3 * OPENS_AFTER)
    answer(breaker, NotFound(), 2 * OPENS_AFTER)
    assert breaker.free > 0
    answer(breaker, UNKNOWN, OPENS_AFTER)
    breaker.release(0)
    answer(breaker, NotFound())
    assert breaker.free == 0


def test_however_many_calls_were_lost_at_once_the_breaker_pauses_once(breaker: CircuitBreaker, clock: Clock) -> None:
    breaker.acquire_up_to(200)
    answer(breaker, UNKNOWN, 199)
    clock.now += 10 * PAUSE_MS_MIN
    answer(breaker, UNKNOWN)  # It began before the breaker opened, so it is no trial.
    assert pause_ms(breaker, clock) == 0
    assert (breaker.acquire_up_to(200), breaker.free) == (1, 0)
    answer(breaker, Succeeded("ch_1"))
    assert breaker.free == 200


def test_a_call_that_is_refused_while_the_breaker_is_open_does_not_count_as_a_trial(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    breaker.acquire_up_to(200)
    answer(breaker, UNKNOWN, OPENS_AFTER)
    assert not breaker.acquire()
    answer(breaker, UNKNOWN, 200 - OPENS_AFTER)
    assert pause_ms(breaker, clock) == PAUSE_MS_MIN


def test_each_trial_without_a_proof_makes_the_pause_longer_up_to_a_minute(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    breaker.acquire_up_to(OPENS_AFTER)
    answer(breaker, UNKNOWN, OPENS_AFTER)
    pauses = []
    for _ in range(8):
        pauses.append(pause_ms(breaker, clock))
        assert breaker.acquire_up_to(9) == 1
        answer(breaker, UNKNOWN)
    assert pauses[:4] == [PAUSE_MS_MIN, 2 * PAUSE_MS_MIN, 4 * PAUSE_MS_MIN, 8 * PAUSE_MS_MIN]
    assert pauses[-1] == PAUSE_MS_MAX


def test_a_call_that_is_refused_during_a_trial_does_not_end_the_trial(breaker: CircuitBreaker, clock: Clock) -> None:
    breaker.acquire_up_to(OPENS_AFTER)
    answer(breaker, UNKNOWN, OPENS_AFTER)
    pause_ms(breaker, clock)
    assert breaker.acquire_up_to(9) == 1
    breaker.release(0)  # A claim releases the permits that it has no attempt for: here it has one for each.
    assert not breaker.acquire()
    answer(breaker, UNKNOWN)
    assert pause_ms(breaker, clock) == 2 * PAUSE_MS_MIN


def test_after_a_pause_the_breaker_opens_again_only_after_as_many_outcomes_without_a_proof(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    breaker.acquire_up_to(OPENS_AFTER)
    answer(breaker, UNKNOWN, OPENS_AFTER)
    pause_ms(breaker, clock)
    breaker.acquire()
    answer(breaker, Succeeded("ch_1"))
    breaker.acquire_up_to(OPENS_AFTER)
    answer(breaker, UNKNOWN, OPENS_AFTER - 1)
    assert breaker.free > 0
    answer(breaker, UNKNOWN)
    assert breaker.free == 0


def test_a_permit_that_is_released_unused_is_no_trial(breaker: CircuitBreaker, clock: Clock) -> None:
    breaker.acquire_up_to(OPENS_AFTER + 1)
    answer(breaker, UNKNOWN, OPENS_AFTER)
    breaker.release()
    assert pause_ms(breaker, clock) == PAUSE_MS_MIN
    assert breaker.acquire()
    breaker.release()  # No attempt was due.
    breaker.record(UNKNOWN)
    assert breaker.free == 1


@pytest.mark.parametrize(("chance", "factor"), [(0.0, 0.5), (0.5, 1.0), (0.9, 1.4)])
def test_chance_spreads_a_pause_by_half_of_it_to_either_side(clock: Clock, chance: float, factor: float) -> None:
    breaker = CircuitBreaker(200, clock=clock, chance=lambda: chance)
    breaker.acquire_up_to(OPENS_AFTER)
    answer(breaker, UNKNOWN, OPENS_AFTER)
    assert pause_ms(breaker, clock) == round(PAUSE_MS_MIN * factor)


@pytest.mark.parametrize(("retryable", "is_open"), [(True, True), (False, False)])
def test_only_refusals_that_may_pass_speak_against_a_provider(
    breaker: CircuitBreaker,
    retryable: bool,  # noqa: FBT001 - a case
    is_open: bool,  # noqa: FBT001 - a case
) -> None:
    breaker.acquire_up_to(OPENS_AFTER)
    answer(breaker, NotDone("refused", retryable=retryable), OPENS_AFTER)
    assert breaker.is_open is is_open
