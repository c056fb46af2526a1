"""What becomes of the deliveries of endpoints that are deleted, on both databases."""

import pytest

from tests.unit.webhook_endpoints.conftest import LEASE_MS, Outgoing


def test_an_endpoint_that_is_deleted_during_a_try_is_not_paused_by_its_answer(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint()
    outgoing.happen("m1")
    tried = outgoing.claim(mine, places=1)
    outgoing.change(mine, deleted=True)
    outgoing.record(*tried, status=410)
    assert "endpoint.paused" not in [kind for kind, _ in outgoing.events()]


def test_what_waits_for_a_deleted_endpoint_is_dropped_whenever_it_is_due(outgoing: Outgoing) -> None:
    mine, other = outgoing.endpoint(), outgoing.endpoint("m2")
    outgoing.happen("m1", "m1", "m1", "m2")
    failed, sent = outgoing.claim(mine, places=2)
    outgoing.record(failed, status=500)  # It is due later.
    outgoing.change(mine, enabled=False)
    outgoing.change(mine, deleted=True)
    assert outgoing.keep_up()
    assert [row.status for row in outgoing.rows(mine)] == ["DROPPED", "SENDING", "DROPPED"]
    assert not outgoing.keep_up()
    outgoing.now += LEASE_MS
    assert outgoing.keep_up()
    assert {(row.status, row.due_at) for row in outgoing.rows(mine)} == {("DROPPED", None)}
    outgoing.record(sent)
    assert {row.status for row in outgoing.rows(mine)} == {"DROPPED"}
    assert [row.status for row in outgoing.rows(other)] == ["PENDING"]
    assert outgoing.waiting() == [other.id]


def test_a_deleted_endpoint_is_not_sent_to_and_its_deliveries_are_dropped_in_small_steps(
    outgoing: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paidonce.webhook_endpoints.maintenance.DROP_MAX", 2)
    mine = outgoing.endpoint()
    outgoing.happen(*["m1"] * 5)
    outgoing.change(mine, deleted=True)
    assert outgoing.waiting() == []
    dropped = []
    while outgoing.keep_up():
        dropped.append([row.status for row in outgoing.rows(mine)].count("DROPPED"))
    assert dropped == [2, 4, 5]


def test_what_a_deleted_endpoint_was_sent_or_is_being_sent_does_not_hold_up_what_is_dropped_and_others_lose_nothing(
    outgoing: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paidonce.webhook_endpoints.maintenance.DROP_MAX", 2)
    mine, other = outgoing.endpoint(), outgoing.endpoint()
    outgoing.happen(*["m1"] * 7)
    outgoing.record(*outgoing.claim(mine, places=2))
    outgoing.record(*outgoing.claim(mine, places=3), status=503, retry_after_seconds=3600)
    outgoing.claim(mine, places=2)
    outgoing.change(mine, deleted=True)
    for _ in range(2):
        outgoing.keep_up()
    assert [row.status for row in outgoing.rows(mine)] == ["DELIVERED"] * 2 + ["DROPPED"] * 3 + ["SENDING"] * 2
    assert [row.status for row in outgoing.rows(other)] == ["PENDING"] * 7
