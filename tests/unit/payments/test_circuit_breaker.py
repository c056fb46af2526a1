import pytest

from paidonce.payments.circuit_breaker import PAUSE_MS_MAX, PAUSE_MS_MIN, UNKNOWN_IN_A_ROW_MAX, CircuitBreaker
from paidonce.providers.base import Declined, Evidence, NotFound, Succeeded, Unknown

SILENCE = Unknown("no answer in time")
SHUTS = UNKNOWN_IN_A_ROW_MAX


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
    """Let calls that are under way come back."""
    for _ in range(times):
        breaker.record(evidence)
        breaker.release()


def pause_ms(breaker: CircuitBreaker, clock: Clock) -> int:
    """Tell for how long nothing is let through."""
    began = clock.now
    while not breaker.free:
        clock.now += 10
    return clock.now - began


def test_as_many_calls_as_there_are_places_may_be_under_way(breaker: CircuitBreaker) -> None:
    assert (breaker.acquire_up_to(150), breaker.acquire_up_to(150), breaker.acquire()) == (150, 50, False)
    breaker.release(3)
    assert breaker.free == 3


def test_too_many_answers_without_a_proof_in_a_row_close_the_gate_and_one_proof_in_between_does_not(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    breaker.acquire_up_to(2 * SHUTS)
    answer(breaker, SILENCE, SHUTS - 1)
    assert breaker.free > 0
    answer(breaker, Declined("do_not_honor"))
    answer(breaker, SILENCE, SHUTS - 1)
    assert breaker.free > 0
    answer(breaker, SILENCE)
    assert breaker.free == 0
    assert pause_ms(breaker, clock) == PAUSE_MS_MIN


def test_that_nothing_is_found_neither_closes_nor_opens_the_gate(breaker: CircuitBreaker) -> None:
    breaker.acquire_up_to(3 * SHUTS)
    answer(breaker, NotFound(), 2 * SHUTS)
    assert breaker.free > 0
    answer(breaker, SILENCE, SHUTS)
    breaker.release(0)
    answer(breaker, NotFound())
    assert breaker.free == 0


def test_however_many_calls_were_lost_at_once_the_gate_pauses_once(breaker: CircuitBreaker, clock: Clock) -> None:
    breaker.acquire_up_to(200)
    answer(breaker, SILENCE, 199)
    clock.now += 10 * PAUSE_MS_MIN
    answer(breaker, SILENCE)  # Begun before the breaker closed, and late: it tries nothing.
    assert pause_ms(breaker, clock) == 0
    assert (breaker.acquire_up_to(200), breaker.free) == (1, 0)
    answer(breaker, Succeeded("ch_1"))
    assert breaker.free == 200


def test_who_asks_in_vain_while_the_gate_is_closed_tries_nothing(breaker: CircuitBreaker, clock: Clock) -> None:
    breaker.acquire_up_to(200)
    answer(breaker, SILENCE, SHUTS)
    assert not breaker.acquire()
    answer(breaker, SILENCE, 200 - SHUTS)
    assert pause_ms(breaker, clock) == PAUSE_MS_MIN


def test_each_call_that_tries_a_sick_provider_in_vain_makes_the_pause_longer_up_to_a_minute(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    breaker.acquire_up_to(SHUTS)
    answer(breaker, SILENCE, SHUTS)
    pauses = []
    for _ in range(8):
        pauses.append(pause_ms(breaker, clock))
        assert breaker.acquire_up_to(9) == 1
        answer(breaker, SILENCE)
    assert pauses[:4] == [PAUSE_MS_MIN, 2 * PAUSE_MS_MIN, 4 * PAUSE_MS_MIN, 8 * PAUSE_MS_MIN]
    assert pauses[-1] == PAUSE_MS_MAX


def test_a_place_that_was_taken_for_nothing_is_no_trial(breaker: CircuitBreaker, clock: Clock) -> None:
    breaker.acquire_up_to(SHUTS + 1)
    answer(breaker, SILENCE, SHUTS)
    breaker.release()
    assert pause_ms(breaker, clock) == PAUSE_MS_MIN
    assert breaker.acquire()
    breaker.release()  # No attempt was due.
    breaker.record(SILENCE)
    assert breaker.free == 1


@pytest.mark.parametrize(("chance", "factor"), [(0.0, 0.5), (0.5, 1.0), (0.9, 1.4)])
def test_chance_spreads_a_pause_by_half_of_it_to_either_side(clock: Clock, chance: float, factor: float) -> None:
    breaker = CircuitBreaker(200, clock=clock, chance=lambda: chance)
    breaker.acquire_up_to(SHUTS)
    answer(breaker, SILENCE, SHUTS)
    assert pause_ms(breaker, clock) == round(PAUSE_MS_MIN * factor)
