import pytest

from paidonce.payments.circuit_breaker import PAUSE_MS_MAX, PAUSE_MS_MIN, UNKNOWN_IN_A_ROW_MAX, Gate
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
def gate(clock: Clock) -> Gate:
    return Gate(200, clock=clock, chance=lambda: 0.5)


def answer(gate: Gate, evidence: Evidence, times: int = 1) -> None:
    """Let calls that are under way come back."""
    for _ in range(times):
        gate.heard(evidence)
        gate.give_back()


def pause_ms(gate: Gate, clock: Clock) -> int:
    """Tell for how long nothing is let through."""
    began = clock.now
    while not gate.free:
        clock.now += 10
    return clock.now - began


def test_as_many_calls_as_there_are_places_may_be_under_way(gate: Gate) -> None:
    assert (gate.take_up_to(150), gate.take_up_to(150), gate.take()) == (150, 50, False)
    gate.give_back(3)
    assert gate.free == 3


def test_too_many_answers_without_a_proof_in_a_row_close_the_gate_and_one_proof_in_between_does_not(
    gate: Gate, clock: Clock
) -> None:
    gate.take_up_to(2 * SHUTS)
    answer(gate, SILENCE, SHUTS - 1)
    assert gate.free > 0
    answer(gate, Declined("do_not_honor"))
    answer(gate, SILENCE, SHUTS - 1)
    assert gate.free > 0
    answer(gate, SILENCE)
    assert gate.free == 0
    assert pause_ms(gate, clock) == PAUSE_MS_MIN


def test_that_nothing_is_found_neither_closes_nor_opens_the_gate(gate: Gate) -> None:
    gate.take_up_to(3 * SHUTS)
    answer(gate, NotFound(), 2 * SHUTS)
    assert gate.free > 0
    answer(gate, SILENCE, SHUTS)
    gate.give_back(0)
    answer(gate, NotFound())
    assert gate.free == 0


def test_however_many_calls_were_lost_at_once_the_gate_pauses_once(gate: Gate, clock: Clock) -> None:
    gate.take_up_to(200)
    answer(gate, SILENCE, 199)
    clock.now += 10 * PAUSE_MS_MIN
    answer(gate, SILENCE)  # Begun before the gate closed, and late: it tries nothing.
    assert pause_ms(gate, clock) == 0
    assert (gate.take_up_to(200), gate.free) == (1, 0)
    answer(gate, Succeeded("ch_1"))
    assert gate.free == 200


def test_who_asks_in_vain_while_the_gate_is_closed_tries_nothing(gate: Gate, clock: Clock) -> None:
    gate.take_up_to(200)
    answer(gate, SILENCE, SHUTS)
    assert not gate.take()
    answer(gate, SILENCE, 200 - SHUTS)
    assert pause_ms(gate, clock) == PAUSE_MS_MIN


def test_each_call_that_tries_a_sick_provider_in_vain_makes_the_pause_longer_up_to_a_minute(
    gate: Gate, clock: Clock
) -> None:
    gate.take_up_to(SHUTS)
    answer(gate, SILENCE, SHUTS)
    pauses = []
    for _ in range(8):
        pauses.append(pause_ms(gate, clock))
        assert gate.take_up_to(9) == 1
        answer(gate, SILENCE)
    assert pauses[:4] == [PAUSE_MS_MIN, 2 * PAUSE_MS_MIN, 4 * PAUSE_MS_MIN, 8 * PAUSE_MS_MIN]
    assert pauses[-1] == PAUSE_MS_MAX


def test_a_place_that_was_taken_for_nothing_is_no_trial(gate: Gate, clock: Clock) -> None:
    gate.take_up_to(SHUTS + 1)
    answer(gate, SILENCE, SHUTS)
    gate.give_back()
    assert pause_ms(gate, clock) == PAUSE_MS_MIN
    assert gate.take()
    gate.give_back()  # No attempt was due.
    gate.heard(SILENCE)
    assert gate.free == 1


@pytest.mark.parametrize(("chance", "factor"), [(0.0, 0.5), (0.5, 1.0), (0.9, 1.4)])
def test_chance_spreads_a_pause_by_half_of_it_to_either_side(clock: Clock, chance: float, factor: float) -> None:
    gate = Gate(200, clock=clock, chance=lambda: chance)
    gate.take_up_to(SHUTS)
    answer(gate, SILENCE, SHUTS)
    assert pause_ms(gate, clock) == round(PAUSE_MS_MIN * factor)
