"""One circuit breaker for each account, over places that all accounts of a provider share."""

import pytest

from paidonce.payments.circuit_breakers import IDLE_MAX, NO_ACCOUNT, CircuitBreakers
from paidonce.providers.evidence import Succeeded, Unknown

CONCURRENCY = 8
SHARE = 2  # Of one account: a fourth.
OPENS_AFTER = 50
PAUSE_MS = 1_000


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> CircuitBreakers:
    return CircuitBreakers(CONCURRENCY, clock=clock, chance=lambda: 0.5)


def begun(breakers: CircuitBreakers, account: str) -> int:
    """Begin calls of an account until one is refused; returns how many were permitted."""
    calls = 0
    while breakers.begin(account):
        calls += 1
    return calls


def open_breaker(breakers: CircuitBreakers, account: str) -> None:
    for _ in range(OPENS_AFTER):
        assert breakers.begin(account)
        breakers.record(account, Unknown("no answer in time"))
        breakers.end(account)


def blocked_and_to_try(breakers: CircuitBreakers) -> tuple[list[str], list[str]]:
    return sorted(breakers.blocked), sorted(breakers.to_try)


def test_one_account_has_at_most_a_fourth_of_the_places_and_all_together_have_no_more_than_there_are(
    breakers: CircuitBreakers,
) -> None:
    assert begun(breakers, "pac_1") == SHARE
    assert breakers.blocked == ("pac_1",)
    assert [begun(breakers, f"pac_{number}") for number in (2, 3, 4, 5)] == [SHARE, SHARE, SHARE, 0]
    assert breakers.take_places(1) == 0
    breakers.end("pac_1")
    assert begun(breakers, "pac_5") == 1


def test_a_provider_without_accounts_may_use_every_place(breakers: CircuitBreakers) -> None:
    assert begun(breakers, NO_ACCOUNT) == CONCURRENCY


def test_a_refused_call_takes_no_place(breakers: CircuitBreakers) -> None:
    begun(breakers, "pac_1")
    assert not breakers.begin("pac_1")
    assert breakers.take_places(CONCURRENCY) == CONCURRENCY - SHARE


def test_places_are_taken_as_far_as_they_are_free_and_given_back(breakers: CircuitBreakers) -> None:
    assert (breakers.take_places(5), breakers.take_places(5), breakers.take_places(5)) == (5, 3, 0)
    breakers.free_places(8)
    assert breakers.take_places(9) == CONCURRENCY


def test_an_account_whose_provider_is_unhealthy_stops_no_call_of_another(
    breakers: CircuitBreakers, clock: Clock
) -> None:
    open_breaker(breakers, "pac_1")
    assert not breakers.begin("pac_1")
    assert blocked_and_to_try(breakers) == (["pac_1"], [])
    assert begun(breakers, "pac_2") == SHARE
    clock.now += PAUSE_MS
    # It stays blocked: a claim for all accounts would take more of it than the one call.
    assert blocked_and_to_try(breakers) == (["pac_1", "pac_2"], ["pac_1"])
    assert begun(breakers, "pac_1") == 1
    assert blocked_and_to_try(breakers) == (["pac_1", "pac_2"], [])
    breakers.record("pac_1", Succeeded("ch_1"))
    breakers.end("pac_1")
    assert begun(breakers, "pac_1") == SHARE


def test_only_accounts_are_paused_because_nothing_else_can_continue_elsewhere(
    breakers: CircuitBreakers, clock: Clock
) -> None:
    for account in ("pac_1", NO_ACCOUNT):
        open_breaker(breakers, account)
    assert begun(breakers, "pac_2") == SHARE  # It is busy, not unhealthy.
    assert breakers.paused == ("pac_1",)
    clock.now += PAUSE_MS
    assert list(breakers.paused) == []  # One call may try it.


def test_what_speaks_against_a_provider_is_not_forgotten_however_many_accounts_are_used_meanwhile(
    breakers: CircuitBreakers,
) -> None:
    for unknown in range(OPENS_AFTER):
        assert breakers.begin("pac_bad")
        breakers.record("pac_bad", Unknown("no answer in time"))
        breakers.end("pac_bad")
        for number in range(IDLE_MAX + 10 if unknown == OPENS_AFTER - 2 else 0):
            assert breakers.begin(f"pac_{number}")
            breakers.end(f"pac_{number}")
    assert breakers.blocked == ("pac_bad",)


def test_of_however_many_accounts_those_that_are_used_or_unhealthy_are_not_forgotten(breakers: CircuitBreakers) -> None:
    open_breaker(breakers, "pac_open")
    assert breakers.begin("pac_used")
    for number in range(IDLE_MAX + 10):
        assert breakers.begin(f"pac_{number}")
        breakers.end(f"pac_{number}")
    assert breakers.blocked == ("pac_open",)
    assert begun(breakers, "pac_used") == SHARE - 1
