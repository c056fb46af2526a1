"""Deliveries on both databases: written with their event, claimed in shares, tried on a schedule, never lost."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import select

from paidonce.database.schema import delivery
from paidonce.database.transaction import Transaction
from paidonce.events.model import Cause, EventType, NewEvent
from paidonce.webhook_endpoints.delivery_actions import (
    ClaimDeliveries,
    RecordTry,
    claim_deliveries,
    find_waiting_endpoints,
    record_tries,
    release_all_deliveries,
    release_deliveries,
)
from paidonce.webhook_endpoints.delivery_store import Held
from paidonce.webhook_endpoints.due_delivery_store import Share
from paidonce.webhook_endpoints.model import PLACES_OF_AN_ENDPOINT, RETRY_SECONDS, Schedule
from paidonce.webhook_endpoints.outbox import write_events_and_deliveries
from tests.unit.webhook_endpoints.conftest import LEASE_MS, Outgoing


def test_a_delivery_is_written_with_its_event_for_every_endpoint_of_its_merchant(outgoing: Outgoing) -> None:
    mine, second, theirs = outgoing.endpoint(), outgoing.endpoint(), outgoing.endpoint("m2")
    outgoing.happen("m1", "m1", "m2")
    assert [row.number for row in outgoing.rows(mine)] == [1, 2]
    assert [row.number for row in outgoing.rows(second)] == [1, 2]
    assert [(row.number, row.status, row.due_at) for row in outgoing.rows(theirs)] == [(1, "PENDING", outgoing.now)]


def test_of_a_commit_with_events_of_both_modes_each_endpoint_gets_those_of_its_own(outgoing: Outgoing) -> None:
    endpoints = {mode: outgoing.endpoint(mode=mode) for mode in ("test", "live")}

    def happen(transaction: Transaction, modes: Sequence[str]) -> Sequence[str]:
        transaction.events.extend(
            NewEvent(type=EventType.CHECKOUT_CREATED, cause=Cause.REQUEST, merchant_id="m1", mode=mode)
            for mode in modes
        )
        return modes

    outgoing.do(happen, "live", "test", "live")
    assert [row.number for row in outgoing.rows(endpoints["test"])] == [1]
    assert [row.number for row in outgoing.rows(endpoints["live"])] == [1, 2]


def test_an_event_whose_transaction_fails_leaves_no_delivery(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()

    def happen_and_fail(transaction: Transaction, _: Sequence[None]) -> list[None]:
        happened = NewEvent(type=EventType.CHECKOUT_CREATED, cause=Cause.REQUEST, merchant_id="m1", mode="test")
        transaction.events.append(happened)
        write_events_and_deliveries(transaction)
        assert len(transaction.rows(select(delivery.c.id))) == 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        outgoing.do(happen_and_fail, None)
    assert outgoing.rows(mine) == []


def test_a_filter_lets_through_what_it_names_and_numbers_that_without_a_gap(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint(types=["checkout.created", "endpoint.created"])
    outgoing.endpoint()
    outgoing.happen("m1")
    outgoing.endpoint()
    found = outgoing.claim(mine)
    bodies = [json.loads(one.body or b"") for one in found]
    # It hears of its own making, because it asks for that.
    assert [body["type"] for body in bodies] == [
        "endpoint.created",
        "endpoint.created",
        "checkout.created",
        "endpoint.created",
    ]
    assert [body["data"]["number"] for body in bodies] == [1, 2, 3, 4]


def test_without_a_filter_an_endpoint_hears_of_money_and_not_of_endpoints(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.endpoint()
    outgoing.happen("m1")
    assert [json.loads(one.body or b"")["type"] for one in outgoing.claim(mine)] == ["checkout.created"]


def test_a_claim_takes_as_many_of_each_endpoint_as_it_has_places_the_longest_due_first(outgoing: Outgoing) -> None:
    mine, theirs = outgoing.endpoint(), outgoing.endpoint("m2")
    outgoing.happen(*["m1"] * 30, "m2")
    first = outgoing.claim(mine, theirs)
    numbers = [one.delivery.number for one in first if one.endpoint.id == mine.id]
    assert numbers == list(range(1, PLACES_OF_AN_ENDPOINT + 1))
    assert [one.delivery.number for one in first if one.endpoint.id == theirs.id] == [1]
    assert [one.delivery.number for one in outgoing.claim(mine, places=1)] == [PLACES_OF_AN_ENDPOINT + 1]


def count_steps(outgoing: Outgoing, action: Callable[[Transaction, Any], Any], request: object) -> tuple[int, Any]:
    """Return how many steps SQLite takes for an action, and its outcome."""
    if outgoing.database.url.dialect != "sqlite":
        pytest.skip("SQLite tells how many steps a statement takes.")
    counted: list[None] = []
    with outgoing.database.write() as transaction:
        driver: Any = transaction.connection.connection.driver_connection
        driver.set_progress_handler(lambda: counted.append(None), 1)
        (outcome,) = action(transaction, [request])
        driver.set_progress_handler(None, 0)
    return len(counted), outcome


def test_a_claim_reads_as_little_where_many_deliveries_are_due_at_the_same_instant(outgoing: Outgoing) -> None:
    endpoint = outgoing.endpoint()
    claim = ClaimDeliveries([Share(endpoint.id, endpoint.merchant_id, 8)], LEASE_MS)
    steps = []
    for _ in range(2):
        outgoing.happen(*["m1"] * 300)
        taken, claimed = count_steps(outgoing, claim_deliveries, claim)
        assert len(claimed) == 8
        steps.append(taken)
    assert steps[1] < 1.1 * steps[0]


def test_a_look_for_what_waits_reads_as_little_however_many_endpoints_have_nothing_open(outgoing: Outgoing) -> None:
    merchants = ["w1", "w2", "w3"]
    endpoints = [outgoing.endpoint(one) for one in merchants]
    outgoing.happen(*merchants)
    before, _ = count_steps(outgoing, find_waiting_endpoints, 100)
    for number in range(100):
        idle = outgoing.endpoint(f"m{number}")
        outgoing.happen(f"m{number}")
        outgoing.record(*outgoing.claim(idle))
    after, waiting = count_steps(outgoing, find_waiting_endpoints, 100)
    assert after < 1.1 * before
    assert [one.endpoint_id for one in waiting] == [one.id for one in endpoints]


def test_what_is_claimed_is_nobody_elses_until_the_lease_is_over(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1")
    (first,) = outgoing.claim(mine)
    assert (outgoing.waiting(), outgoing.claim(mine)) == ([], [])
    outgoing.now += LEASE_MS
    assert outgoing.waiting() == [mine.id]
    (second,) = outgoing.claim(mine)
    assert (second.delivery.fence, second.body) == (first.delivery.fence + 1, first.body)


def test_a_sender_that_lost_its_lease_writes_nothing(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1")
    (first,) = outgoing.claim(mine)
    outgoing.now += LEASE_MS
    (second,) = outgoing.claim(mine)
    outgoing.record(first)
    assert [row.status for row in outgoing.rows(mine)] == ["SENDING"]
    outgoing.record(second)
    outgoing.record(second)
    assert [row.status for row in outgoing.rows(mine)] == ["DELIVERED"]


def test_a_try_whose_delivery_another_holds_neither_fails_nor_pauses_the_endpoint(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1")
    (stale,) = outgoing.claim(mine)
    outgoing.now += LEASE_MS
    outgoing.claim(mine)
    outgoing.record(stale, status=500)
    outgoing.record(stale, status=410)
    assert (outgoing.read(mine).failing_since, outgoing.read(mine).paused_at) == (None, None)
    assert "endpoint.paused" not in [kind for kind, _ in outgoing.events()]


def test_leases_are_given_back_by_whoever_has_them_and_all_of_them_by_who_is_alone(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1", "m1")
    one, two = outgoing.claim(mine)
    outgoing.do(release_deliveries, [Held(one.delivery.id, "m1", one.delivery.fence)])
    assert [row.status for row in outgoing.rows(mine)] == ["PENDING", "SENDING"]
    outgoing.do(release_all_deliveries, None)
    assert [row.status for row in outgoing.rows(mine)] == ["PENDING", "PENDING"]
    outgoing.record(two)
    assert [row.status for row in outgoing.rows(mine)] == ["PENDING", "PENDING"]


def test_a_delivery_that_was_recorded_is_not_sent_again_when_its_lease_is_given_back(outgoing: Outgoing) -> None:
    endpoint = outgoing.endpoint()
    outgoing.happen("m1", "m1")
    succeeded, failed = outgoing.claim(endpoint)
    outgoing.record(succeeded)
    outgoing.record(failed, status=500)
    recorded = outgoing.rows(endpoint)
    outgoing.do(release_deliveries, [Held(one.delivery.id, "m1", one.delivery.fence) for one in (succeeded, failed)])
    assert outgoing.rows(endpoint) == recorded


def test_failed_tries_come_again_on_the_schedule_with_the_same_body_and_then_it_failed(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1")
    pauses, bodies = [], set()
    while (due_at := outgoing.rows(mine)[0].due_at) is not None:
        pauses.append((due_at - outgoing.now) // 1000)
        outgoing.now = due_at
        (one,) = outgoing.claim(mine)
        bodies.add(one.body)
        outgoing.record(one, status=500)
    assert tuple(pauses) == (0, *RETRY_SECONDS)
    assert len(bodies) == 1
    (row,) = outgoing.rows(mine)
    assert (row.status, row.failures, row.fence) == ("FAILED", 10, 10)
    # Three days without a success: nobody is there.
    assert outgoing.events()[-1][0] == "endpoint.paused"
    assert outgoing.events()[-1][1]["reason"] == "failing"


def test_a_success_ends_the_time_for_which_an_endpoint_has_failed(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1", "m1")
    one, two = outgoing.claim(mine)
    outgoing.record(one, status=None, error="cannot connect")
    assert outgoing.do(find_waiting_endpoints, 10)[0] == []
    outgoing.now = outgoing.rows(mine)[0].due_at
    assert [waiting.is_failing for waiting in outgoing.do(find_waiting_endpoints, 10)[0]] == [True]
    outgoing.record(two)
    assert [waiting.is_failing for waiting in outgoing.do(find_waiting_endpoints, 10)[0]] == [False]


def test_healthy_endpoints_come_before_failing_ones_that_wait_longer(outgoing: Outgoing) -> None:
    failing, healthy = outgoing.endpoint(), outgoing.endpoint("m2")
    outgoing.happen("m1", "m1")
    outgoing.record(outgoing.claim(failing, places=1)[0], status=503)
    outgoing.now += 1000
    outgoing.happen("m2")
    assert outgoing.waiting() == [healthy.id, failing.id]


def test_an_endpoint_for_which_something_is_due_soon_takes_no_place_of_one_for_which_it_is_due_now(
    outgoing: Outgoing,
) -> None:
    failing, soon = outgoing.endpoint(), outgoing.endpoint("m2")
    outgoing.happen("m1", "m1", "m2")
    outgoing.record(outgoing.claim(failing, places=1)[0], status=503)
    outgoing.claim(soon)
    outgoing.now += LEASE_MS - 1000
    assert [one.endpoint_id for one in outgoing.do(find_waiting_endpoints, 1)[0]] == [failing.id]


@pytest.mark.parametrize(("asked", "seconds"), [(60, 60), (2, 5), (10**9, 86_400)])
def test_a_receiver_may_put_us_off_but_not_for_ever(outgoing: Outgoing, asked: int, seconds: int) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1")
    outgoing.record(*outgoing.claim(mine), status=503, retry_after_seconds=asked)
    assert outgoing.rows(mine)[0].due_at == outgoing.now + seconds * 1000


def test_a_receiver_that_is_gone_is_paused_and_keeps_what_waits_and_what_is_yet_to_come(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1", "m1")
    outgoing.record(outgoing.claim(mine, places=1)[0], status=410)
    outgoing.happen("m1")
    outgoing.now += 10**9
    assert outgoing.waiting() == []
    kind, detail = outgoing.events()[-2]
    assert (kind, detail) == ("endpoint.paused", {"endpointId": mine.id, "reason": "gone", "error": "answered 410"})
    assert [row.status for row in outgoing.rows(mine)] == ["PENDING"] * 3
    resumed = outgoing.change(mine, enabled=True)
    assert (resumed.paused_at, resumed.failing_since) == (None, None)
    assert [one.delivery.number for one in outgoing.claim(mine)] == [1, 2, 3]
    assert outgoing.events()[-1][0] == "endpoint.resumed"


def test_of_tries_at_the_same_endpoint_in_one_batch_one_pauses_it_and_tells_so_once(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen(*["m1"] * 5)
    outgoing.record(*outgoing.claim(mine), status=410)
    assert [kind for kind, _ in outgoing.events()].count("endpoint.paused") == 1


@pytest.mark.parametrize("last_to_end", ["success", "failure"])
def test_of_tries_in_one_batch_the_one_that_ended_last_says_whether_the_endpoint_fails(
    outgoing: Outgoing, last_to_end: str
) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1", "m1")
    tries = [
        RecordTry(
            delivery=one.delivery,
            started_at=outgoing.now + started,
            duration_ms=duration,
            schedule=Schedule(),
            chance=0.5,
            status_code=200 if error is None else 500,
            error=error,
        )
        for one, (started, duration), error in zip(
            outgoing.claim(mine),
            [(0, 9), (2, 3)] if last_to_end == "success" else [(0, 3), (2, 9)],
            [None, "answered 500"],
            strict=True,
        )
    ]
    outgoing.do(record_tries, *(tries[::-1] if last_to_end == "failure" else tries))
    assert outgoing.read(mine).failing_since == (None if last_to_end == "success" else outgoing.now)
