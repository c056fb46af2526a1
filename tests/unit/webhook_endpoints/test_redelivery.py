"""Ranges that are sent again, on both databases: in small steps, no faster than they are taken, and to their end."""

from typing import Final

import pytest
from sqlalchemy import func, select

from paidonce import ids
from paidonce.database.schema import redelivery
from paidonce.errors import TooManyRedeliveries
from paidonce.merchants.model import TenantScopedId
from paidonce.webhook_endpoints.model import WebhookEndpoint
from paidonce.webhook_endpoints.redelivery import (
    REDELIVERIES_MAX,
    RangeRedelivered,
    RedeliverRange,
    Redelivery,
    list_redeliveries,
    redeliver_ranges,
)
from tests.unit.webhook_endpoints.conftest import Outgoing

STEP: Final = 3
OPEN_MAX: Final = 4


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take steps that a few events fill."""
    monkeypatch.setattr("paidonce.webhook_endpoints.redelivery.STEP_EVENTS_MAX", STEP)


def order(endpoint: WebhookEndpoint, first: int, last: int, order_id: str = "") -> RedeliverRange:
    return RedeliverRange(
        id=order_id or ids.new_id(ids.REDELIVERY),
        endpoint=TenantScopedId(endpoint.id, endpoint.merchant_id),
        from_sequence=first,
        to_sequence=last,
    )


def unfinished(outgoing: Outgoing, endpoint: WebhookEndpoint) -> list[Redelivery]:
    (found,) = outgoing.do(list_redeliveries, TenantScopedId(endpoint.id, endpoint.merchant_id))
    assert isinstance(found, list)
    return found


def orders(outgoing: Outgoing) -> int:
    with outgoing.database.read() as transaction:
        return int(transaction.rows(select(func.count()).select_from(redelivery))[0][0])


def deliver_all(outgoing: Outgoing, endpoint: WebhookEndpoint) -> None:
    while claimed := outgoing.claim(endpoint):
        outgoing.record(*claimed)


def test_a_large_range_is_carried_out_step_by_step_and_says_what_remains(outgoing: Outgoing) -> None:
    outgoing.happen(*["m1"] * 8)
    mine = outgoing.endpoint()  # Event 9, which it does not want.
    wish = order(mine, 1, 8)
    assert outgoing.do(redeliver_ranges, wish) == [RangeRedelivered(3, 5)]
    (shown,) = unfinished(outgoing, mine)
    assert (shown.id, shown.from_sequence, shown.to_sequence, shown.remaining) == (wish.id, 1, 8, 5)
    assert len(outgoing.rows(mine)) == 3
    assert outgoing.keep_up()
    assert (len(outgoing.rows(mine)), unfinished(outgoing, mine)[0].remaining) == (6, 2)
    assert outgoing.keep_up()
    assert (len(outgoing.rows(mine)), unfinished(outgoing, mine)) == (8, [])
    assert not outgoing.keep_up()
    assert [row.number for row in outgoing.rows(mine)] == list(range(1, 9))
    assert {row.status for row in outgoing.rows(mine)} == {"PENDING"}


def test_a_range_ends_with_the_newest_event_and_one_beyond_it_is_nothing_to_do(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1")
    assert outgoing.do(redeliver_ranges, order(mine, 1, 10_000)) == [RangeRedelivered(1, 0)]
    assert outgoing.do(redeliver_ranges, order(mine, 3, 10_000)) == [RangeRedelivered(0, 0)]
    assert orders(outgoing) == 0


def test_a_step_waits_while_the_endpoint_has_many_deliveries_open(
    outgoing: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paidonce.webhook_endpoints.redelivery.OPEN_DELIVERIES_MAX", OPEN_MAX)
    outgoing.happen(*["m1"] * 8)
    mine = outgoing.endpoint()
    outgoing.do(redeliver_ranges, order(mine, 1, 8))
    outgoing.keep_up()
    assert len(outgoing.rows(mine)) == OPEN_MAX
    outgoing.keep_up()
    assert (len(outgoing.rows(mine)), unfinished(outgoing, mine)[0].remaining) == (OPEN_MAX, 4)
    # Nor does an order take a first step of its own then.
    assert outgoing.do(redeliver_ranges, order(mine, 1, 8)) == [RangeRedelivered(0, 8)]
    deliver_all(outgoing, mine)
    for _ in range(3):
        outgoing.now += 1
        outgoing.keep_up()
    assert len([row for row in outgoing.rows(mine) if row.status == "PENDING"]) == OPEN_MAX


def test_orders_that_find_everything_open_are_not_looked_at_at_every_poll(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen(*["m1"] * 200)
    assert outgoing.do(redeliver_ranges, order(mine, 1, 200)) == [RangeRedelivered(0, 200)]
    assert not outgoing.keep_up()
    outgoing.record(*outgoing.claim(mine, places=1))
    assert outgoing.keep_up()
    assert unfinished(outgoing, mine)[0].remaining == 199


def test_a_paused_endpoint_s_orders_wait_and_go_on_when_it_is_resumed(outgoing: Outgoing) -> None:
    outgoing.happen(*["m1"] * 8)
    mine = outgoing.endpoint()
    outgoing.do(redeliver_ranges, order(mine, 1, 8))
    outgoing.change(mine, enabled=False)
    assert not outgoing.keep_up()
    outgoing.change(mine, enabled=True)
    assert outgoing.keep_up()
    assert len(outgoing.rows(mine)) == 6


def test_deleting_an_endpoint_ends_its_orders_and_nobody_elses(outgoing: Outgoing) -> None:
    outgoing.happen(*["m1"] * 8)
    mine, other = outgoing.endpoint(), outgoing.endpoint()
    outgoing.do(redeliver_ranges, order(mine, 1, 8), order(other, 1, 8))
    outgoing.change(mine, deleted=True)
    assert orders(outgoing) == 1
    while outgoing.keep_up():
        pass
    assert {row.status for row in outgoing.rows(mine)} == {"DROPPED"}
    assert len(outgoing.rows(other)) == 8
    assert orders(outgoing) == 0


def test_an_order_that_the_release_before_left_at_a_deleted_endpoint_is_forgotten(outgoing: Outgoing) -> None:
    outgoing.happen(*["m1"] * 8)
    mine = outgoing.endpoint()
    outgoing.do(redeliver_ranges, order(mine, 1, 8))
    (left,) = unfinished(outgoing, mine)
    outgoing.change(mine, deleted=True)
    with outgoing.database.writes.begin() as connection:
        connection.execute(redelivery.insert(), {name: getattr(left, name) for name in left.__struct_fields__})
    while outgoing.keep_up():
        pass
    assert (orders(outgoing), len(outgoing.rows(mine))) == (0, 3)


def test_an_endpoint_has_so_many_unfinished_orders_and_no_more_and_others_have_theirs(outgoing: Outgoing) -> None:
    outgoing.happen(*["m1"] * 8)
    mine, other = outgoing.endpoint(), outgoing.endpoint()
    answers = outgoing.do(redeliver_ranges, *(order(mine, 1, 8) for _ in range(REDELIVERIES_MAX + 1)))
    assert [type(one) for one in answers] == [RangeRedelivered] * REDELIVERIES_MAX + [TooManyRedeliveries]
    assert isinstance(outgoing.do(redeliver_ranges, order(other, 1, 8))[0], RangeRedelivered)
    assert len(outgoing.rows(mine)) <= 8  # However often a range is ordered, an event has one delivery.
    while outgoing.keep_up():
        pass
    assert isinstance(outgoing.do(redeliver_ranges, order(mine, 1, 8))[0], RangeRedelivered)


def test_of_two_orders_of_a_merchant_a_round_takes_one_a_step_further(outgoing: Outgoing) -> None:
    outgoing.happen(*["m1"] * 8)
    endpoints = [outgoing.endpoint(), outgoing.endpoint()]
    outgoing.do(redeliver_ranges, *(order(one, 1, 8) for one in endpoints))
    assert outgoing.keep_up()
    assert sorted(len(outgoing.rows(one)) for one in endpoints) == [STEP, 2 * STEP]


def test_an_order_that_is_given_again_after_an_unknown_commit_is_the_same(outgoing: Outgoing) -> None:
    outgoing.happen(*["m1"] * 8)
    mine = outgoing.endpoint()
    wish = order(mine, 1, 8, "rdl_1")
    outgoing.do(redeliver_ranges, wish)
    assert outgoing.do(redeliver_ranges, wish) == [RangeRedelivered(0, 5)]
    assert orders(outgoing) == 1


def test_the_orders_of_several_merchants_take_turns(outgoing: Outgoing) -> None:
    outgoing.happen(*["m1"] * 30, *["m2"] * 30, *["m3"] * 30)
    endpoints = [outgoing.endpoint(one) for one in ("m1", "m2", "m3")]
    outgoing.do(redeliver_ranges, *(order(one, 1, 30) for one in endpoints))
    for _ in range(9):
        outgoing.now += 1
        outgoing.keep_up()
    assert [len(outgoing.rows(one)) // STEP for one in endpoints] == [4, 4, 4]


def test_what_is_under_way_when_its_range_comes_stays_with_its_sender(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1", "m1")
    (under_way,) = outgoing.claim(mine, places=1)
    outgoing.do(redeliver_ranges, order(mine, 1, 3))
    assert [row.status for row in outgoing.rows(mine)] == ["SENDING", "PENDING"]
    outgoing.record(under_way)
    assert outgoing.rows(mine)[0].status == "DELIVERED"


def test_a_range_writes_only_to_what_is_not_due_already(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1", "m1", "m1")
    failed, delivered = outgoing.claim(mine, places=2)
    outgoing.record(failed, status=500)
    outgoing.record(delivered)
    waiting_since = outgoing.now
    outgoing.now += 1
    assert outgoing.do(redeliver_ranges, order(mine, 1, 4)) == [RangeRedelivered(2, 1)]
    outgoing.keep_up()
    changed = [(row.status, row.failures, row.updated_at) for row in outgoing.rows(mine)]
    assert changed == [("PENDING", 0, outgoing.now), ("PENDING", 0, outgoing.now), ("PENDING", 0, waiting_since)]
