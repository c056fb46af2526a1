"""Which old events and deliveries are deleted, and which are not, on both databases."""

import pytest
from sqlalchemy import update

from paidonce import ids
from paidonce.clock import DAY_MS
from paidonce.database.schema import delivery, event
from paidonce.errors import EventsDeleted
from paidonce.events.actions import LogBounds, load_log_bounds
from paidonce.merchants.model import Tenant, TenantScopedId
from paidonce.retention.actions import delete_old
from paidonce.retention.model import EVENTS_MAX, ROWS_MAX, RetentionPeriods
from paidonce.webhook_endpoints.actions import redeliver
from paidonce.webhook_endpoints.model import WebhookEndpoint
from paidonce.webhook_endpoints.redelivery import RangeRedelivered, RedeliverRange, redeliver_ranges
from tests.unit.retention.conftest import TENANT, Retention


def happen(retention: Retention, times: int = 1) -> None:
    retention.outgoing.happen(*[TENANT.merchant_id] * times)


def send(retention: Retention, endpoint: WebhookEndpoint, *, status: int = 200) -> None:
    """Send everything that is due."""
    while claimed := retention.outgoing.claim(endpoint):
        retention.outgoing.record(*claimed, status=status)


def redeliver_range(retention: Retention, endpoint: WebhookEndpoint, first: int, last: int) -> object:
    name = TenantScopedId(endpoint.id, endpoint.merchant_id)
    wish = RedeliverRange(id=ids.new_id(ids.REDELIVERY), endpoint=name, from_sequence=first, to_sequence=last)
    return retention.outgoing.do(redeliver_ranges, wish)[0]


def bounds(retention: Retention) -> LogBounds:
    found: LogBounds = retention.outgoing.do(load_log_bounds, TENANT)[0]
    return found


def test_events_are_deleted_when_they_are_older_than_the_period_and_the_log_begins_after_them(
    retention: Retention,
) -> None:
    happen(retention, 3)
    retention.outgoing.now += 10 * DAY_MS
    happen(retention, 2)
    retention.count()
    retention.outgoing.now += 20 * DAY_MS
    assert (retention.old_logs(), retention.delete()) == ([], 0)  # The first three are exactly as old as the period.
    retention.outgoing.now += 1
    assert (retention.old_logs(), retention.delete()) == ([TENANT], 1)
    assert retention.sequences() == [4, 5]
    assert bounds(retention) == LogBounds(first=4, newest=5)
    assert retention.old_logs() == []


def test_numbers_go_on_after_every_event_of_a_log_was_deleted(retention: Retention) -> None:
    happen(retention, 3)
    retention.count()
    retention.outgoing.now += 31 * DAY_MS
    retention.delete()
    assert (retention.sequences(), bounds(retention)) == ([], LogBounds(first=4, newest=3))
    happen(retention)
    assert (retention.sequences(), bounds(retention)) == ([4], LogBounds(first=4, newest=4))


def test_each_mode_of_a_merchant_has_a_log_of_its_own(retention: Retention) -> None:
    live = Tenant("m1", "live")
    retention.outgoing.endpoint(mode="live")  # Its creation is the only event of live mode.
    happen(retention, 2)
    for tenant in (TENANT, live):
        retention.count(tenant)
    retention.outgoing.now += 31 * DAY_MS
    retention.delete(live)
    assert (retention.sequences(), retention.sequences(live)) == ([1, 2], [])
    assert retention.old_logs() == [TENANT]


def test_an_event_that_is_not_counted_for_statistics_is_kept(retention: Retention) -> None:
    happen(retention, 2)
    retention.count()
    happen(retention, 2)
    retention.outgoing.now += 31 * DAY_MS
    retention.delete()
    assert retention.sequences() == [3, 4]


def test_an_event_whose_delivery_is_open_is_kept_and_so_are_all_events_after_it(retention: Retention) -> None:
    endpoint = retention.outgoing.endpoint()  # Its own event is the first, and is not delivered.
    happen(retention, 2)
    send(retention, endpoint)
    happen(retention)
    retention.outgoing.change(endpoint, enabled=False)
    happen(retention, 2)
    retention.count()
    retention.outgoing.now += 31 * DAY_MS
    retention.delete()
    assert retention.sequences() == [4, 5, 6, 7]  # The fifth is that of the pause.
    assert retention.delivered() == [4, 6, 7]


@pytest.mark.parametrize("status", ["DELIVERED", "FAILED", "DROPPED"])
def test_the_deliveries_and_tries_of_a_deleted_event_are_deleted_however_they_ended(
    retention: Retention, status: str
) -> None:
    endpoint = retention.outgoing.endpoint()
    happen(retention, 2)
    send(retention, endpoint)
    with retention.outgoing.database.writes.begin() as connection:
        connection.execute(update(delivery).values(status=status))
    retention.count()
    retention.outgoing.now += 31 * DAY_MS
    assert (retention.delivered(), retention.tries()) == ([2, 3], 2)
    retention.delete()
    assert (retention.sequences(), retention.delivered(), retention.tries()) == ([], [], 0)


def test_deliveries_are_deleted_before_their_events_where_their_period_is_shorter(retention: Retention) -> None:
    retention.periods = RetentionPeriods(event_ms=30 * DAY_MS, delivery_ms=7 * DAY_MS)
    endpoint = retention.outgoing.endpoint()
    happen(retention, 2)
    send(retention, endpoint)
    retention.outgoing.now += 8 * DAY_MS
    happen(retention)
    send(retention, endpoint)
    assert retention.old_logs() == [TENANT]
    retention.delete()  # Whether the events are counted does not matter for deliveries.
    assert (retention.sequences(), retention.delivered(), retention.tries()) == ([1, 2, 3, 4], [4], 1)
    retention.count()
    retention.outgoing.now += 23 * DAY_MS
    retention.delete()
    assert (retention.sequences(), retention.delivered()) == ([4], [])


def test_an_event_that_was_sent_again_after_its_delivery_was_deleted_is_deleted_with_the_new_one(
    retention: Retention,
) -> None:
    retention.periods = RetentionPeriods(event_ms=30 * DAY_MS, delivery_ms=7 * DAY_MS)
    endpoint = retention.outgoing.endpoint()
    happen(retention, 2)
    send(retention, endpoint)
    retention.outgoing.now += 8 * DAY_MS
    retention.count()
    retention.delete()
    assert redeliver_range(retention, endpoint, 2, 3) == RangeRedelivered(2, 0)
    retention.outgoing.now += 30 * DAY_MS
    retention.delete()
    assert (retention.sequences(), retention.delivered()) == ([2, 3], [2, 3])  # They are open again.
    send(retention, endpoint)
    retention.delete()
    assert (retention.sequences(), retention.delivered()) == ([], [])


def test_no_delivery_is_kept_longer_than_its_event_whatever_its_own_period(retention: Retention) -> None:
    retention.periods = RetentionPeriods(event_ms=DAY_MS, delivery_ms=30 * DAY_MS)
    endpoint = retention.outgoing.endpoint()
    happen(retention, 2)
    send(retention, endpoint)
    retention.count()
    retention.outgoing.now += 2 * DAY_MS
    retention.delete()
    assert (retention.sequences(), retention.delivered()) == ([], [])


def test_the_deliveries_of_an_endpoint_are_numbered_on_after_its_newest_one_was_deleted(retention: Retention) -> None:
    endpoint = retention.outgoing.endpoint()
    happen(retention, 3)
    send(retention, endpoint)
    retention.count()
    retention.outgoing.now += 31 * DAY_MS
    retention.delete()
    assert retention.outgoing.rows(endpoint) == []
    happen(retention, 2)
    assert [row.number for row in retention.outgoing.rows(endpoint)] == [4, 5]


def test_events_that_are_still_to_be_sent_again_are_kept(retention: Retention) -> None:
    happen(retention, 3)
    endpoint = retention.outgoing.endpoint()
    retention.outgoing.change(endpoint, enabled=False)
    happen(retention, 250)  # So many deliveries are open that the order waits.
    assert redeliver_range(retention, endpoint, 2, 3) == RangeRedelivered(0, 2)
    retention.count()
    retention.outgoing.now += 31 * DAY_MS
    retention.delete()
    assert retention.sequences()[0] == 2


def test_a_range_that_begins_before_the_log_is_refused_with_the_number_that_it_begins_with(
    retention: Retention,
) -> None:
    endpoint = retention.outgoing.endpoint()
    happen(retention, 3)
    send(retention, endpoint)
    retention.count()
    retention.outgoing.now += 31 * DAY_MS
    retention.delete()
    happen(retention, 2)
    refused = redeliver_range(retention, endpoint, 4, 6)
    assert isinstance(refused, EventsDeleted)
    assert refused.first_sequence == 5
    assert redeliver_range(retention, endpoint, 5, 6) == RangeRedelivered(2, 0)


def test_nothing_is_deleted_where_a_delivery_was_made_due_after_the_step_was_planned(retention: Retention) -> None:
    endpoint = retention.outgoing.endpoint()
    happen(retention, 2)
    send(retention, endpoint)
    retention.count()
    retention.outgoing.now += 31 * DAY_MS
    planned = retention.plan()
    sent = retention.outgoing.rows(endpoint)[1]
    retention.outgoing.do(redeliver, TenantScopedId(sent.id, sent.merchant_id))
    assert retention.outgoing.do(delete_old, planned) == [False]
    assert (retention.sequences(), retention.delivered(), retention.tries()) == ([1, 2, 3], [2, 3], 2)


def test_nothing_is_deleted_where_a_redelivery_was_ordered_after_the_step_was_planned(retention: Retention) -> None:
    happen(retention, 3)
    endpoint = retention.outgoing.endpoint()
    happen(retention, 250)  # So many deliveries are open that the order waits.
    retention.count()
    retention.outgoing.now += 31 * DAY_MS
    planned = retention.plan()
    assert redeliver_range(retention, endpoint, 2, 3) == RangeRedelivered(0, 2)
    assert retention.outgoing.do(delete_old, planned) == [False]
    assert retention.sequences()[:4] == [1, 2, 3, 4]


def test_a_step_that_was_taken_changes_nothing_when_it_is_taken_again(retention: Retention) -> None:
    happen(retention, 3)
    retention.count()
    retention.outgoing.now += 31 * DAY_MS
    planned = retention.plan()
    assert retention.outgoing.do(delete_old, planned) == [True]
    happen(retention)
    assert retention.outgoing.do(delete_old, planned) == [False]  # The answer to the first commit was lost.
    assert retention.sequences() == [4]


def test_a_step_deletes_a_bounded_number_of_events(retention: Retention) -> None:
    happen(retention, EVENTS_MAX + 1)
    retention.count()
    retention.outgoing.now += 31 * DAY_MS
    assert retention.delete() == 2


def test_a_step_deletes_a_bounded_number_of_deliveries_and_tries(retention: Retention) -> None:
    endpoints = [retention.outgoing.endpoint(types=["checkout.created"]) for _ in range(3)]
    happen(retention, 10)
    for endpoint in endpoints:
        send(retention, endpoint)
    with retention.outgoing.database.writes.begin() as connection:
        connection.execute(update(delivery).values(fence=24))  # A step takes it that so many tries may be there.
    retention.count()
    retention.outgoing.now += 31 * DAY_MS
    planned = retention.plan()
    assert planned is not None
    assert len(planned.delivery_ids) == 12 == ROWS_MAX // 25
    assert retention.delete() == 3
    assert (retention.sequences(), retention.delivered(), retention.tries()) == ([], [], 0)


def test_an_event_with_more_rows_than_a_step_deletes_is_deleted_alone(retention: Retention) -> None:
    endpoint = retention.outgoing.endpoint(types=["checkout.created"])
    happen(retention, 2)
    send(retention, endpoint)
    with retention.outgoing.database.writes.begin() as connection:
        connection.execute(update(delivery).values(fence=2 * ROWS_MAX))
    retention.count()
    retention.outgoing.now += 31 * DAY_MS
    assert retention.delete() == 3  # The first is that of the endpoint, then one after the other.
    assert retention.sequences() == []


def test_an_event_of_a_clock_that_runs_ahead_keeps_the_events_after_it(retention: Retention) -> None:
    happen(retention, 3)
    retention.count()
    with retention.outgoing.database.writes.begin() as connection:
        later = retention.outgoing.now + 5 * DAY_MS
        connection.execute(update(event).where(event.c.sequence == 2).values(created_at=later))
    retention.outgoing.now += 31 * DAY_MS
    retention.delete()
    assert retention.sequences() == [2, 3]
