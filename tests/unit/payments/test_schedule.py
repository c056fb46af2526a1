"""The schedule of look-ups: when the provider is asked again about an unknown outcome."""

from hypothesis import given, strategies as st

from paidonce.payments.schedule import LOOKUP_DELAYS_SECONDS, LookupSchedule
from tests.unit.payments.reducer_examples import CHANCE, DAY_SECONDS, LOOKUPS, LOOKUPS_MAX, NOW, SCHEDULE


@given(CHANCE, st.floats(min_value=0.01, max_value=3600))
def test_an_unknown_outcome_is_asked_about_ever_more_rarely_and_not_for_ever(chance: float, first: float) -> None:
    schedule = LookupSchedule(first_seconds=first)
    due = [schedule.next_due_at(NOW, count, chance) for count in range(LOOKUPS_MAX)]
    delays = [instant - NOW for instant in due if instant is not None]
    assert len(delays) == LOOKUPS_MAX
    assert delays == sorted(delays)
    assert delays[0] >= 1
    assert delays[-1] <= 1.1 * DAY_SECONDS * 1000 * first / 5 + 1
    assert schedule.next_due_at(NOW, LOOKUPS_MAX, chance) is None


@given(LOOKUPS.filter(lambda count: count < LOOKUPS_MAX), CHANCE)
def test_chance_moves_a_look_up_by_a_tenth_at_the_most(lookup_count: int, chance: float) -> None:
    due = SCHEDULE.next_due_at(NOW, lookup_count, chance)
    assert due is not None
    assert abs((due - NOW) / 1000 / LOOKUP_DELAYS_SECONDS[lookup_count] - 1) <= 0.1 + 1e-6
    spread = [SCHEDULE.next_due_at(NOW, lookup_count, one) for one in (0.0, 0.5, 1.0)]
    delay_ms = LOOKUP_DELAYS_SECONDS[lookup_count] * 1000
    assert spread == [NOW + round(delay_ms * factor) for factor in (0.9, 1.0, 1.1)]


def test_a_look_up_is_due_a_millisecond_later_at_the_earliest() -> None:
    assert LookupSchedule(first_seconds=1e-9).next_due_at(NOW, 0, 0.5) == NOW + 1


def test_the_first_look_ups_come_within_minutes_and_the_last_after_a_month() -> None:
    assert LOOKUP_DELAYS_SECONDS[:5] == (5, 30, 120, 600, 3600)
    assert 30 <= sum(LOOKUP_DELAYS_SECONDS) / DAY_SECONDS <= 32
