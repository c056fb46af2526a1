"""When a delivery is tried again, when an endpoint is paused, and which events it gets."""

from typing import Final

import pytest
from hypothesis import given, strategies as st

from paidonce.events.model import EventType
from paidonce.webhook_endpoints.delivery_store import DeliveryMark
from paidonce.webhook_endpoints.model import (
    ALLOWED,
    RETRY_SECONDS,
    DeliveryStatus,
    Schedule,
    check_transition,
    sources_of,
    wants,
)

NOW: Final = 1_700_000_000_000
DAY: Final = 24 * 3600


@given(st.integers(1, len(RETRY_SECONDS)), st.floats(0, 1, exclude_max=True))
def test_a_try_comes_after_its_delay_give_or_take_a_tenth(failures: int, chance: float) -> None:
    due_at = Schedule().next_try_at(failures, NOW, chance=chance)
    assert due_at is not None
    assert 0.9 * RETRY_SECONDS[failures - 1] <= (due_at - NOW) / 1000 <= 1.1 * RETRY_SECONDS[failures - 1]


def test_chance_spreads_tries_over_the_whole_fifth() -> None:
    found = [Schedule().next_try_at(2, NOW, chance=chance) for chance in (0.0, 0.5, 0.75)]
    assert found == [NOW + 270_000, NOW + 300_000, NOW + 315_000]


def test_after_the_tenth_failure_there_is_no_further_try() -> None:
    assert Schedule().next_try_at(9, NOW, chance=0.5) is not None
    assert Schedule().next_try_at(10, NOW, chance=0.5) is None


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [(None, 5), (0, 5), (4, 5), (60, 60), (DAY, DAY), (DAY + 1, DAY), (10**9, DAY)]
)
def test_a_receiver_puts_a_try_off_but_never_forward_and_never_by_more_than_a_day(
    retry_after: int | None, seconds: int
) -> None:
    due_at = Schedule().next_try_at(1, NOW, chance=0.5, retry_after_seconds=retry_after)
    assert due_at == NOW + seconds * 1000


def test_every_delay_scales_with_the_first() -> None:
    quick = Schedule(first_seconds=0.05)
    assert quick.next_try_at(1, NOW, chance=0.5) == NOW + 50
    assert quick.next_try_at(2, NOW, chance=0.5) == NOW + 3000
    assert quick.is_too_long(NOW - 3 * DAY * 10, NOW)
    assert not quick.is_too_long(NOW - 3 * DAY * 10 + 1, NOW)


def test_an_endpoint_has_failed_for_too_long_after_three_days() -> None:
    assert Schedule().is_too_long(NOW - 3 * DAY * 1000, NOW)
    assert not Schedule().is_too_long(NOW - 3 * DAY * 1000 + 1, NOW)


@pytest.mark.parametrize("kind", EventType)
def test_without_a_filter_an_endpoint_gets_everything_but_events_that_concern_no_checkout(kind: EventType) -> None:
    assert wants(None, kind) == (not kind.value.startswith(("endpoint.", "provider_account.", "profile.")))


@pytest.mark.parametrize("kind", EventType)
def test_with_a_filter_an_endpoint_gets_what_that_names_and_a_test_only_when_it_is_meant(kind: EventType) -> None:
    assert wants({kind.value}, kind) == (kind is not EventType.ENDPOINT_TEST)
    assert not wants({"something.else"}, kind)


@pytest.mark.parametrize(
    ("source", "target"), [("DROPPED", "PENDING"), ("PENDING", "DELIVERED"), ("FAILED", "SENDING")]
)
def test_a_transition_of_a_delivery_that_the_table_does_not_allow_is_refused(source: str, target: str) -> None:
    with pytest.raises(AssertionError, match=f"no transition from {source} to {target}"):
        check_transition(DeliveryStatus(source), DeliveryStatus(target))


@pytest.mark.parametrize("target", DeliveryStatus)
def test_the_sources_of_a_status_are_those_from_which_the_table_leads_to_it(target: DeliveryStatus) -> None:
    assert [target in ALLOWED[source] for source in sources_of(target)] == [True] * len(sources_of(target))
    assert sum(target in targets for targets in ALLOWED.values()) == len(sources_of(target))


def test_a_result_of_a_try_that_the_table_does_not_allow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALLOWED, DeliveryStatus.SENDING, {DeliveryStatus.PENDING, DeliveryStatus.DELIVERED})
    with pytest.raises(AssertionError, match="no transition from SENDING to FAILED"):
        DeliveryMark(id="dlv_1", merchant_id="m", fence=1, status="FAILED", due_at=None, failures=1, delivered_at=None)
