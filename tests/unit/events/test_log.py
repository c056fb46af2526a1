"""The event log on both databases: numbered without gaps for each merchant, paged, and isolated between merchants."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import pytest
from sqlalchemy import select, update

from paidonce.database.engine import Database, open_database
from paidonce.database.schema import event, event_log
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url
from paidonce.errors import EventNotFound
from paidonce.events.actions import EventsAfter, list_events, load_events, load_events_after, load_newest_sequences
from paidonce.events.model import Cause, Event, EventType, NewEvent, Origin
from paidonce.events.store import EventFilter, ReadPosition, lock_starts, write_events
from paidonce.merchants.model import Tenant, TenantScopedId
from tests.support.databases import make_schema

NOW: Final = 1_700_000_000_000


class EventLog:
    def __init__(self, url: str) -> None:
        self.database: Database = open_database(parse_database_url(url), clock=lambda: NOW, before_commit=write_events)
        make_schema(self.database)

    def append(
        self,
        *merchant_ids: str,
        kind: EventType = EventType.ENDPOINT_CREATED,
        mode: str = "test",
        **more: Any,  # noqa: ANN401 - the event's fields
    ) -> None:
        with self.database.write() as transaction:
            transaction.events.extend(
                NewEvent(type=kind, cause=Cause.REQUEST, merchant_id=one, mode=mode, **more) for one in merchant_ids
            )

    def ask(self, action: Callable[[Transaction, Any], Sequence[Any]], *requests: object) -> list[Any]:
        with self.database.read() as transaction:
            return list(action(transaction, requests))

    def page(
        self,
        merchant_id: str = "m1",
        mode: str = "test",
        *,
        limit: int = 100,
        **wanted: Any,  # noqa: ANN401 - the filter's fields
    ) -> tuple[list[int], bool]:
        tenant = Tenant(merchant_id, mode)
        (found,) = self.ask(list_events, EventFilter(tenant=tenant, limit=limit, **wanted))
        return [one.sequence for one in found.events], found.has_more

    def newest(self, *merchant_ids: str, mode: str = "test") -> list[int]:
        return self.ask(load_newest_sequences, *(Tenant(one, mode) for one in merchant_ids))

    def events(self, merchant_id: str = "m1", mode: str = "test") -> list[Event]:
        (found,) = self.ask(list_events, EventFilter(tenant=Tenant(merchant_id, mode), limit=100))
        return list(found.events)


@pytest.fixture
def log(migrated_database_url: str) -> Iterator[EventLog]:
    one = EventLog(migrated_database_url)
    yield one
    one.database.close()


def test_each_merchants_events_are_numbered_from_one_without_a_gap_also_within_one_commit(log: EventLog) -> None:
    log.append("m2", "m1", "m2", "m1", "m2")
    log.append("m1")
    assert (log.page("m1"), log.page("m2")) == (([1, 2, 3], False), ([1, 2, 3], False))
    assert log.newest("m1", "m2", "nobody") == [3, 3, 0]


def test_each_mode_of_a_merchant_has_its_own_numbers_without_a_gap(log: EventLog) -> None:
    log.append("m1", "m1")
    log.append("m1", "m2", "m1", mode="live")
    with log.database.write() as transaction:  # Both modes in one commit.
        transaction.events.extend(
            NewEvent(type=EventType.ENDPOINT_CREATED, cause=Cause.REQUEST, merchant_id="m1", mode=mode)
            for mode in ("live", "test", "live")
        )
    assert (log.page("m1", "test"), log.page("m1", "live")) == (([1, 2, 3], False), ([1, 2, 3, 4], False))
    assert log.newest("m1", "m2") == [3, 0]
    assert log.newest("m1", "m2", mode="live") == [4, 1]
    assert {one.mode for one in log.events("m1", "live")} == {"live"}


def test_a_commit_without_events_numbers_nothing(log: EventLog) -> None:
    log.append()
    assert (log.newest("m1"), log.events()) == ([0], [])


def test_an_event_keeps_what_it_was_given(log: EventLog) -> None:
    origin = Origin(request_id="req_1", idempotency_key="abc")
    log.append("m1", detail={"endpointId": "whe_1"}, origin=origin)
    (one,) = log.events()
    assert (one.merchant_id, one.type, one.cause, one.created_at) == ("m1", "endpoint.created", "request", NOW)
    assert (one.checkout_id, one.attempt_id, one.attempt_kind, one.request_id) == (None, None, None, "req_1")
    assert json.loads(one.detail or "") == {"endpointId": "whe_1", "idempotencyKey": "abc"}


def test_the_key_of_its_request_is_a_detail_by_itself_and_without_one_there_is_none(log: EventLog) -> None:
    log.append("m1", origin=Origin(request_id=None, idempotency_key="abc"))
    log.append("m1")
    with_key, without = log.events()
    assert (with_key.detail, without.detail) == ('{"idempotencyKey":"abc"}', None)


def test_who_acted_is_a_detail_beside_others_and_by_itself(log: EventLog) -> None:
    origin = Origin(request_id=None, actor="ada@example.com")
    log.append("m1", origin=origin)
    log.append("m1", origin=origin, detail={"endpointId": "whe_1"})
    assert [json.loads(one.detail or "") for one in log.events()] == [
        {"actor": "ada@example.com"},
        {"endpointId": "whe_1", "actor": "ada@example.com"},
    ]


def test_a_log_of_which_nothing_was_deleted_begins_with_its_first_event_and_its_first_delivery(log: EventLog) -> None:
    with log.database.write() as transaction:
        assert lock_starts(transaction, "m1") == {"test": 1, "live": 1}
    with log.database.read() as transaction:
        found = transaction.rows(select(event_log.c.mode, event_log.c.first_sequence, event_log.c.first_delivered))
    assert sorted(tuple(row) for row in found) == [("live", 1, 1), ("test", 1, 1)]


def test_pages_follow_each_other_and_say_whether_more_lies_beyond(log: EventLog) -> None:
    log.append(*["m1"] * 5)
    assert log.page(limit=2) == ([1, 2], True)
    assert log.page(limit=2, after=2) == ([3, 4], True)
    assert log.page(limit=2, after=3) == ([4, 5], False)
    assert log.page(limit=2, after=5) == ([], False)
    assert log.page(limit=5) == ([1, 2, 3, 4, 5], False)


def test_a_page_can_be_of_some_types_alone(log: EventLog) -> None:
    log.append("m1", kind=EventType.ENDPOINT_CREATED)
    log.append("m1", kind=EventType.ENDPOINT_PAUSED)
    log.append("m1", kind=EventType.ENDPOINT_DELETED)
    assert log.page(types=frozenset({"endpoint.paused", "endpoint.deleted"})) == ([2, 3], False)
    assert log.page(types=frozenset({"endpoint.paused"}), after=2) == ([], False)
    assert log.page(types=frozenset()) == ([], False)


def test_an_event_is_found_only_by_its_merchant_and_by_an_operator(log: EventLog) -> None:
    log.append("m1", "m2")
    (mine,), (theirs,) = log.events("m1"), log.events("m2")
    found = log.ask(
        load_events,
        TenantScopedId(mine.id, "m1"),
        TenantScopedId(mine.id, None),
        TenantScopedId(theirs.id, "m1"),
        TenantScopedId("evt_0", None),
    )
    assert found[:2] == [mine, mine]
    assert [type(one) for one in found[2:]] == [EventNotFound] * 2


def test_reading_on_gives_each_merchant_what_comes_next_and_no_more_than_is_asked_for(log: EventLog) -> None:
    log.append(*["m1"] * 5, *["m2"] * 5, "m3")
    log.append(*["m1"] * 3, mode="live")
    positions = {"m1": 1, "m2": 4, "m3": 1, "nobody": 0}
    seen = [ReadPosition(merchant_id, "test", number) for merchant_id, number in positions.items()]
    (found,) = log.ask(load_events_after, EventsAfter(seen, 3))
    assert [(one.merchant_id, one.sequence) for one in found] == [("m1", 2), ("m1", 3), ("m1", 4), ("m2", 5)]


def test_reading_on_in_both_logs_of_a_merchant_gives_as_many_of_each_as_are_asked_for(log: EventLog) -> None:
    log.append(*["m1"] * 5)
    log.append(*["m1"] * 5, mode="live")
    seen = [ReadPosition("m1", "test", 1), ReadPosition("m1", "live", 3)]
    (found,) = log.ask(load_events_after, EventsAfter(seen, 3))
    assert [(one.mode, one.sequence) for one in found] == [
        *(("live", number) for number in (4, 5)),
        *(("test", number) for number in (2, 3, 4)),
    ]


def test_reading_on_reaches_the_end_of_a_long_log_where_fewer_are_left_than_are_asked_for(log: EventLog) -> None:
    log.append(*["m1"] * 130)
    (found,) = log.ask(load_events_after, EventsAfter([ReadPosition("m1", "test", 126)], 10))
    assert [one.sequence for one in found] == [127, 128, 129, 130]


def test_reading_on_goes_beyond_numbers_that_are_missing(log: EventLog) -> None:
    """Events that became live at an upgrade are missing among those of test mode."""
    log.append(*["m1"] * 12)
    with log.database.writes.begin() as connection:
        connection.execute(update(event).where(event.c.sequence.between(2, 10)).values(mode="live"))
    (test,) = log.ask(load_events_after, EventsAfter([ReadPosition("m1", "test", 1)], 3))
    (live,) = log.ask(load_events_after, EventsAfter([ReadPosition("m1", "live", 0)], 3))
    assert [one.sequence for one in test] == [11, 12]
    assert [one.sequence for one in live] == [2, 3, 4]


def test_a_transaction_that_fails_leaves_no_event_and_no_gap(log: EventLog) -> None:
    def append_and_fail() -> None:
        with log.database.write() as transaction:
            transaction.events.append(
                NewEvent(type=EventType.ENDPOINT_CREATED, cause=Cause.REQUEST, merchant_id="m1", mode="test")
            )
            write_events(transaction)
            raise ZeroDivisionError

    log.append("m1")
    with pytest.raises(ZeroDivisionError):
        append_and_fail()
    log.append("m1")
    assert log.page() == ([1, 2], False)
