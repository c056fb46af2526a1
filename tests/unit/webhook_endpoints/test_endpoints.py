"""What merchants do with endpoints and deliveries, on both databases: to their own, once, and without a loss."""

import msgspec
import pytest
from sqlalchemy import text

from paidonce import ids
from paidonce.errors import DeliveryNotFound, TooManyWebhookEndpoints, WebhookEndpointNotFound
from paidonce.merchants.model import TenantFilter, TenantScopedId
from paidonce.webhook_endpoints.actions import (
    ChangeEndpoint,
    CreateEndpoint,
    DeliveryFilter,
    SendTest,
    change_endpoints,
    create_endpoints,
    list_deliveries,
    list_endpoints,
    load_deliveries,
    load_endpoints,
    redeliver,
    send_tests,
)
from paidonce.webhook_endpoints.model import ENDPOINTS_MAX, WebhookEndpoint
from paidonce.webhook_endpoints.redelivery import RangeRedelivered, RedeliverRange, list_redeliveries, redeliver_ranges
from paidonce.webhook_endpoints.store import EndpointFilter, read_all
from tests.unit.webhook_endpoints.conftest import Outgoing


def name(endpoint: WebhookEndpoint, merchant_id: str | None = "m1") -> TenantScopedId:
    return TenantScopedId(endpoint.id, merchant_id)


def test_an_endpoint_that_is_created_again_after_an_unknown_commit_is_the_same_and_told_of_once(
    outgoing: Outgoing,
) -> None:
    wish = CreateEndpoint(
        id="whe_1", merchant_id="m1", url="https://a.example/", event_types=None, description=None, secret="s"
    )
    first = outgoing.do(create_endpoints, wish)
    assert outgoing.do(create_endpoints, wish) == first
    assert [kind for kind, _ in outgoing.events()] == ["endpoint.created"]


def test_a_merchant_has_so_many_endpoints_and_no_more_also_in_one_batch(outgoing: Outgoing) -> None:
    for _ in range(ENDPOINTS_MAX - 1):
        outgoing.endpoint()
    wishes = [
        CreateEndpoint(id=one, merchant_id="m1", url="https://a/", event_types=None, description=None, secret="s")
        for one in ("whe_1", "whe_2")
    ]
    made, refused = outgoing.do(create_endpoints, *wishes)
    assert isinstance(made, WebhookEndpoint)
    assert isinstance(refused, TooManyWebhookEndpoints)
    assert f"at most {ENDPOINTS_MAX} webhook endpoints" in str(refused)
    outgoing.endpoint("m2")
    outgoing.change(made, deleted=True)
    assert isinstance(outgoing.do(create_endpoints, wishes[1])[0], WebhookEndpoint)


@pytest.mark.parametrize("merchant_id", ["m2", "nobody"])
def test_another_merchants_endpoint_and_deliveries_are_not_there(outgoing: Outgoing, merchant_id: str) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1")
    theirs = name(mine, merchant_id)
    delivery_id = outgoing.rows(mine)[0].id
    outcomes = [
        *outgoing.do(load_endpoints, theirs),
        *outgoing.do(change_endpoints, ChangeEndpoint(name=theirs, deleted=True)),
        *outgoing.do(send_tests, SendTest(endpoint=theirs, delivery_id="dlv_1")),
        *outgoing.do(list_deliveries, DeliveryFilter(endpoint=theirs, limit=10)),
        *outgoing.do(redeliver_ranges, RedeliverRange(id="rdl_1", endpoint=theirs, from_sequence=1, to_sequence=9)),
        *outgoing.do(list_redeliveries, theirs),
        *outgoing.do(load_deliveries, TenantScopedId(delivery_id, merchant_id)),
        *outgoing.do(redeliver, TenantScopedId(delivery_id, merchant_id)),
    ]
    assert [type(one) for one in outcomes] == [WebhookEndpointNotFound] * 6 + [DeliveryNotFound] * 2
    assert outgoing.do(list_endpoints, EndpointFilter(limit=10, tenant=TenantFilter(merchant_id))) == [([], False)]
    assert isinstance(outgoing.do(load_endpoints, name(mine, None))[0], WebhookEndpoint)


def test_an_endpoint_that_is_deleted_can_be_deleted_again_and_not_be_changed(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    deleted = outgoing.change(mine, deleted=True)
    assert isinstance(outgoing.change(mine, enabled=False), WebhookEndpointNotFound)
    outgoing.now += 1
    assert outgoing.change(mine, deleted=True) == deleted


def test_all_endpoints_are_read_in_the_order_of_their_ids_whatever_the_plan(outgoing: Outgoing) -> None:
    for endpoint_id in ("whe_3", "whe_1", "whe_2"):
        wish = CreateEndpoint(
            id=endpoint_id, merchant_id="m1", url="https://a/", event_types=None, description=None, secret="s"
        )
        outgoing.do(create_endpoints, wish)
    with outgoing.database.write() as transaction:
        if outgoing.database.url.dialect != "sqlite":
            transaction.connection.execute(text("SET LOCAL enable_seqscan = on"))
            transaction.connection.execute(text("SET LOCAL enable_indexscan = off"))
            transaction.connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        assert [one.id for one in read_all(transaction, after="", limit=2)] == ["whe_1", "whe_2"]


def test_endpoints_are_listed_by_pages_in_both_directions(outgoing: Outgoing) -> None:
    made = [outgoing.endpoint().id for _ in range(5)][::-1]
    pages = EndpointFilter(limit=2, tenant=TenantFilter("m1"))
    ((first, more),) = outgoing.do(list_endpoints, pages)
    ((last, end),) = outgoing.do(list_endpoints, msgspec.structs.replace(pages, starting_after=made[3]))
    ((back, _),) = outgoing.do(list_endpoints, msgspec.structs.replace(pages, ending_before=made[3]))
    assert ([one.id for one in first], more) == (made[:2], True)
    assert ([one.id for one in last], end) == (made[4:], False)
    assert [one.id for one in back] == made[1:3]


def test_a_secret_that_is_replaced_signs_on_beside_the_new_one_for_the_overlap(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    turned = outgoing.change(mine, secret="new", overlap_ms=1000)
    assert (turned.secret, turned.former_secret, turned.former_secret_until) == ("new", "sealed", outgoing.now + 1000)
    assert outgoing.change(mine, secret="new", overlap_ms=1000) == turned  # After an unknown commit.
    at_once = outgoing.change(mine, secret="newest")
    assert (at_once.secret, at_once.former_secret, at_once.former_secret_until) == ("newest", None, None)


def test_a_paused_endpoint_keeps_its_backlog_and_gets_all_of_it_when_it_is_resumed(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1", "m1")
    outgoing.record(outgoing.claim(mine, places=1)[0], status=500)  # It is due later: resuming waits for nothing.
    outgoing.change(mine, enabled=False)
    outgoing.happen("m1")
    assert (outgoing.waiting(), len(outgoing.rows(mine))) == ([], 3)
    outgoing.change(mine, enabled=True)
    assert outgoing.waiting() == [mine.id]
    assert [one.delivery.number for one in outgoing.claim(mine)] == [1, 2, 3]
    told = [kind for kind, _ in outgoing.events() if kind.startswith("endpoint.")]
    assert told == ["endpoint.created", "endpoint.paused", "endpoint.resumed"]


def test_resuming_writes_only_to_what_has_failed(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1", "m1", "m1")
    later, overdue = outgoing.claim(mine, places=2)
    outgoing.record(overdue, status=500)
    outgoing.now += 4000
    outgoing.record(later, status=500)
    outgoing.change(mine, enabled=False)
    outgoing.now += 4000
    outgoing.change(mine, enabled=True)
    assert [row.failures for row in outgoing.rows(mine)] == [0, 0, 0]
    assert [row.updated_at == outgoing.now for row in outgoing.rows(mine)] == [True, True, False]
    assert len(outgoing.claim(mine)) == 3


def test_resuming_leaves_what_is_under_way_with_its_sender(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1", "m1")
    (under_way,) = outgoing.claim(mine, places=1)
    outgoing.change(mine, enabled=False)
    outgoing.now += 1
    outgoing.change(mine, enabled=True)
    assert [row.status for row in outgoing.rows(mine)] == ["SENDING", "PENDING"]
    assert [one.delivery.number for one in outgoing.claim(mine)] == [2]
    outgoing.record(under_way)
    assert outgoing.rows(mine)[0].status == "DELIVERED"


def test_an_endpoint_that_is_paused_already_stays_paused_since_then_and_for_that_reason(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1")
    outgoing.record(*outgoing.claim(mine), status=410)
    paused = outgoing.read(mine)
    before = outgoing.events()
    outgoing.now += 1000
    assert outgoing.change(mine, enabled=False) == paused
    assert (paused.pause_reason, outgoing.events()) == ("gone", before)


def test_a_delivery_that_arrived_at_once_is_sent_again_when_it_is_asked_for(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1")
    outgoing.record(*outgoing.claim(mine))
    (shown,) = outgoing.do(redeliver, TenantScopedId(outgoing.rows(mine)[0].id, "m1"))
    assert (shown.delivery.status, shown.delivery.due_at) == ("PENDING", outgoing.now)


def test_what_does_not_change_an_endpoint_tells_nothing(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    before = outgoing.events()
    assert outgoing.change(mine, enabled=True, url=mine.url) == mine
    assert outgoing.events() == before


def test_two_changes_of_one_endpoint_in_one_batch_both_take_place(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    wishes = [ChangeEndpoint(name=name(mine), url="https://b.example/"), ChangeEndpoint(name=name(mine), enabled=False)]
    _, after = outgoing.do(change_endpoints, *wishes)
    assert (after.url, after.pause_reason) == ("https://b.example/", "request")


def test_a_deleted_endpoint_is_not_there_any_more_and_keeps_no_secret(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1")
    deleted = outgoing.change(mine, deleted=True)
    assert (deleted.secret, deleted.former_secret) == (None, None)
    assert isinstance(outgoing.do(load_endpoints, name(mine))[0], WebhookEndpointNotFound)
    delivery_id = outgoing.rows(mine)[0].id
    assert isinstance(outgoing.do(load_deliveries, TenantScopedId(delivery_id, "m1"))[0], DeliveryNotFound)
    assert outgoing.change(mine, deleted=True).deleted_at == deleted.deleted_at
    assert [kind for kind, _ in outgoing.events()].count("endpoint.deleted") == 1


def test_a_test_event_goes_to_its_endpoint_alone_whatever_the_filter_and_once(outgoing: Outgoing) -> None:
    mine, other = outgoing.endpoint(types=["checkout.failed"]), outgoing.endpoint()
    wish = SendTest(endpoint=name(mine), delivery_id=ids.new_id(ids.DELIVERY))
    for _ in range(2):  # The second time as after an unknown commit.
        outgoing.do(send_tests, wish)
    assert [row.id for row in outgoing.rows(mine)] == [wish.delivery_id]
    assert outgoing.rows(other) == []


def test_a_delivery_is_sent_again_with_its_id_and_all_its_tries_before_it(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1")
    (first,) = outgoing.claim(mine)
    outgoing.record(first, status=500)
    outgoing.now += 5000
    outgoing.record(*outgoing.claim(mine))
    delivered_at = outgoing.now
    outgoing.now += 5000
    (shown,) = outgoing.do(redeliver, TenantScopedId(first.delivery.id, "m1"))
    assert (shown.delivery.status, shown.delivery.failures) == ("PENDING", 0)
    assert shown.delivery.delivered_at == delivered_at
    assert [(one.number, one.status_code, one.error) for one in shown.tries] == [
        (1, 500, "answered 500"),
        (2, 200, None),
    ]
    (again,) = outgoing.claim(mine)
    assert (again.delivery.event_id, again.body) == (first.delivery.event_id, first.body)
    # One that is under way stays so.
    assert outgoing.do(redeliver, TenantScopedId(first.delivery.id, None))[0].delivery.status == "SENDING"


def test_a_range_is_sent_again_and_what_was_never_sent_for_the_first_time(outgoing: Outgoing) -> None:
    outgoing.happen("m1", "m1")  # Before there is an endpoint.
    mine = outgoing.endpoint()  # Event 3.
    outgoing.happen("m1", "m1")  # Events 4 and 5.
    outgoing.record(*outgoing.claim(mine))
    wish = RedeliverRange(id="rdl_1", endpoint=name(mine), from_sequence=2, to_sequence=4)
    assert outgoing.do(redeliver_ranges, wish) == [RangeRedelivered(2, 0)]
    sequences = [shown.sequence for shown in outgoing.do(list_deliveries, filter_of(mine))[0][0]]
    assert sequences == [2, 5, 4]  # Newest first: that of event 2 was made just now.
    assert [row.status for row in outgoing.rows(mine)] == ["PENDING", "DELIVERED", "PENDING"]
    assert [row.number for row in outgoing.rows(mine)] == [1, 2, 3]
    assert outgoing.do(redeliver_ranges, wish) == [RangeRedelivered(2, 0)]
    assert len(outgoing.rows(mine)) == 3


def test_deliveries_are_listed_by_pages_and_by_status(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen(*["m1"] * 5)
    outgoing.record(*outgoing.claim(mine, places=2))
    made = [row.id for row in outgoing.rows(mine)][::-1]
    ((first, more),) = outgoing.do(list_deliveries, filter_of(mine, limit=2))
    ((rest, end),) = outgoing.do(list_deliveries, filter_of(mine, starting_after=made[1]))
    ((back, _),) = outgoing.do(list_deliveries, filter_of(mine, limit=2, ending_before=made[4]))
    ((done, _),) = outgoing.do(list_deliveries, filter_of(mine, status="DELIVERED"))
    assert ([one.delivery.id for one in first], more) == (made[:2], True)
    assert ([one.delivery.id for one in rest], end) == (made[2:], False)
    assert [one.delivery.id for one in back] == made[2:4]
    assert [(one.delivery.number, len(one.tries)) for one in done] == [(2, 1), (1, 1)]


def filter_of(
    endpoint: WebhookEndpoint,
    *,
    limit: int = 10,
    status: str | None = None,
    starting_after: str | None = None,
    ending_before: str | None = None,
) -> DeliveryFilter:
    return DeliveryFilter(
        endpoint=name(endpoint),
        limit=limit,
        status=status,
        starting_after=starting_after,
        ending_before=ending_before,
    )
