"""A row that cannot be read, written or signed fails alone, on both databases: everything else is done."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from paidonce.database.batcher import Batcher
from paidonce.database.schema import checkout, event, webhook_endpoint
from paidonce.encryption import Keyring
from paidonce.merchants.model import TenantScopedId
from paidonce.webhook_endpoints import redelivery_store
from paidonce.webhook_endpoints.delivery_actions import claim_deliveries, record_tries
from paidonce.webhook_endpoints.maintenance import Upkeep, find_upkeep, put_off_upkeep
from paidonce.webhook_endpoints.model import RETRY_SECONDS, WebhookEndpoint
from paidonce.webhook_endpoints.redelivery import (
    GIVE_UP_MS,
    PUT_OFF_MS,
    RedeliverRange,
    RedeliveryName,
    list_redeliveries,
    redeliver_ranges,
)
from tests.unit.webhook_endpoints.conftest import Outgoing
from tests.unit.webhook_endpoints.running import KEYRING, answering, running, until
from tests.unit.webhook_endpoints.test_sender import tries

OTHER_KEYRING: Final = Keyring(lambda: [b"o" * 32], draw=bytes)
AFTER_THE_LAST_YEAR: Final = 10**17


def poison(outgoing: Outgoing, table: Any, where: Any, **values: object) -> None:  # noqa: ANN401 - of SQLAlchemy
    with outgoing.database.writes.begin() as connection:
        assert connection.execute(update(table).where(where).values(**values)).rowcount


def statuses(outgoing: Outgoing, endpoint: WebhookEndpoint) -> list[str]:
    return [row.status for row in outgoing.rows(endpoint)]


async def fail_to_the_end(outgoing: Outgoing, endpoint: WebhookEndpoint) -> None:
    """Let a sender make every try of the endpoint's first delivery."""
    while (row := outgoing.rows(endpoint)[0]).status != "FAILED":
        outgoing.now = max(outgoing.now, row.due_at)
        before = row.failures
        await until(lambda: outgoing.rows(endpoint)[0].failures > before)  # noqa: B023 - within this round


@pytest.mark.parametrize("poisoned", ["detail: no JSON", "detail: no object", "metadata", "time"])
async def test_a_delivery_whose_message_cannot_be_written_fails_alone_and_ends_after_its_ten_tries(
    outgoing: Outgoing, poisoned: str
) -> None:
    mine, theirs = outgoing.endpoint(keyring=KEYRING), outgoing.endpoint("m2", keyring=KEYRING)
    bad, _, _ = outgoing.happen("m1", "m1", "m2")
    if poisoned.startswith("detail"):
        detail = "{" if poisoned == "detail: no JSON" else "[]"
        poison(outgoing, event, event.c.checkout_id == bad, detail=detail)
    elif poisoned == "metadata":
        poison(outgoing, checkout, checkout.c.id == bad, metadata="{")
    else:
        poison(outgoing, event, event.c.checkout_id == bad, created_at=AFTER_THE_LAST_YEAR)
    receiver = answering(200)
    async with running(outgoing, receiver):
        await until(lambda: statuses(outgoing, mine)[1:] + statuses(outgoing, theirs) == ["DELIVERED"] * 2)
        await fail_to_the_end(outgoing, mine)
    assert len(receiver.posted) == 2
    made = [one for one in tries(outgoing) if one.delivery_id == outgoing.rows(mine)[0].id]
    assert [(one.status_code, one.duration_ms) for one in made] == [(None, 0)] * (len(RETRY_SECONDS) + 1)
    assert {one.error for one in made} == {
        "the sender could not write the message: what is stored of the event cannot be read"
    }
    assert (outgoing.read(mine).failing_since, outgoing.read(mine).paused_at) == (None, None)


@pytest.mark.parametrize("sealed_by", [None, OTHER_KEYRING], ids=["damaged", "a key that is gone"])
async def test_an_endpoint_whose_secret_cannot_be_decrypted_fails_alone_and_ends_after_its_ten_tries(
    outgoing: Outgoing, sealed_by: Keyring | None
) -> None:
    mine, theirs = outgoing.endpoint(keyring=sealed_by), outgoing.endpoint("m2", keyring=KEYRING)
    outgoing.happen("m1", "m2")
    receiver = answering(200)
    async with running(outgoing, receiver):
        await until(lambda: statuses(outgoing, theirs) == ["DELIVERED"])
        await fail_to_the_end(outgoing, mine)
    assert len(receiver.posted) == 1
    errors = [one.error for one in tries(outgoing) if one.delivery_id == outgoing.rows(mine)[0].id]
    assert errors == ["the sender could not decrypt the endpoint's secret"] * (len(RETRY_SECONDS) + 1)
    assert (outgoing.read(mine).failing_since, outgoing.read(mine).paused_at) == (None, None)


class FailsAtEndpoint:
    """A writer that fails on every claim that names an endpoint, as a row that the database refuses would."""

    def __init__(self, batcher: Batcher, endpoint_id: str) -> None:
        self._batcher = batcher
        self.add_commit_listener = batcher.add_commit_listener
        self._endpoint_id = endpoint_id

    async def submit(self, action: Callable[..., Any], request: Any) -> Any:  # noqa: ANN401 - as the batcher's
        if action is claim_deliveries and any(one.endpoint_id == self._endpoint_id for one in request.shares):
            raise ZeroDivisionError
        return await self._batcher.submit(action, request)


@pytest.mark.parametrize("place", range(3))
async def test_an_endpoint_whose_deliveries_cannot_be_claimed_keeps_no_other_from_its_own(
    outgoing: Outgoing, place: int
) -> None:
    merchants = ["m1", "m2", "m3"]
    endpoints = [outgoing.endpoint(one, keyring=KEYRING) for one in merchants]
    outgoing.happen(*merchants)
    bad = endpoints.pop(place)
    with capture_logs() as lines:
        async with running(outgoing, answering(200), writer=lambda writes: FailsAtEndpoint(writes, bad.id)):
            await until(lambda: all(statuses(outgoing, one) == ["DELIVERED"] for one in endpoints))
            await until(lambda: "deliveries_not_claimed" in {one["event"] for one in lines})
    assert statuses(outgoing, bad) == ["PENDING"]
    assert {one["endpoint_id"] for one in lines if one["event"] == "deliveries_not_claimed"} == {bad.id}


class RecordsNothing:
    """A writer that fails on every try that is to be recorded."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self.add_commit_listener = batcher.add_commit_listener

    async def submit(self, action: Callable[..., Any], request: Any) -> Any:  # noqa: ANN401 - as the batcher's
        if action is record_tries:
            raise ZeroDivisionError
        return await self._batcher.submit(action, request)


async def test_a_try_that_can_in_no_way_be_recorded_is_logged_with_its_delivery(outgoing: Outgoing) -> None:
    mine = outgoing.endpoint(keyring=KEYRING)
    outgoing.happen("m1")
    with capture_logs() as lines:
        async with running(outgoing, answering(200), writer=RecordsNothing):
            await until(lambda: "job_failed" in {one["event"] for one in lines})
    failed = [(one["worker"], one["job_id"]) for one in lines if one["event"] == "job_failed"]
    assert failed == [("deliveries", outgoing.rows(mine)[0].id)]


async def test_while_nothing_can_be_claimed_what_a_deleted_endpoint_left_is_ended_all_the_same(
    outgoing: Outgoing,
) -> None:
    mine, gone = outgoing.endpoint(keyring=KEYRING), outgoing.endpoint("m2", keyring=KEYRING)
    outgoing.happen("m1", "m2")
    outgoing.change(gone, deleted=True)
    async with running(outgoing, answering(200), writer=lambda writes: FailsAtEndpoint(writes, mine.id)):
        await until(lambda: statuses(outgoing, gone) == ["DROPPED"])


def test_a_filter_that_cannot_be_read_keeps_no_event_from_being_written_and_lets_everything_through(
    outgoing: Outgoing,
) -> None:
    mine, other = outgoing.endpoint(types=["checkout.completed"]), outgoing.endpoint()
    poison(outgoing, webhook_endpoint, webhook_endpoint.c.id == mine.id, event_types="{")
    outgoing.happen("m1")
    assert (statuses(outgoing, mine), statuses(outgoing, other)) == (["PENDING"], ["PENDING"])


def order(outgoing: Outgoing, endpoint: WebhookEndpoint) -> RedeliveryName:
    """Order more events than one step looks at."""
    name = RedeliveryName(f"rdl_{endpoint.id}", endpoint.merchant_id)
    of = TenantScopedId(endpoint.id, endpoint.merchant_id)
    outgoing.do(redeliver_ranges, RedeliverRange(id=name.id, endpoint=of, from_sequence=1, to_sequence=5))
    return name


def ready(outgoing: Outgoing) -> list[RedeliveryName]:
    found: list[RedeliveryName] = outgoing.do(find_upkeep, None)[0].redeliveries
    return found


def unfinished(outgoing: Outgoing, *endpoints: WebhookEndpoint) -> list[str]:
    found = outgoing.do(list_redeliveries, *(TenantScopedId(one.id, one.merchant_id) for one in endpoints))
    return [each.id for orders in found for each in orders]


def test_a_range_of_an_endpoint_whose_filter_cannot_be_read_is_sent_again(outgoing: Outgoing) -> None:
    outgoing.happen(*["m1"] * 5)
    mine = outgoing.endpoint(types=["checkout.completed"])
    poison(outgoing, webhook_endpoint, webhook_endpoint.c.id == mine.id, event_types="{")
    order(outgoing, mine)
    assert statuses(outgoing, mine) == ["PENDING"] * 5


async def test_an_order_whose_step_fails_is_put_off_and_the_others_are_carried_out(
    outgoing: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paidonce.webhook_endpoints.redelivery.STEP_EVENTS_MAX", 2)
    outgoing.happen(*["m1"] * 5, *["m2"] * 5)
    bad, good = outgoing.endpoint(keyring=KEYRING), outgoing.endpoint("m2", keyring=KEYRING)
    order(outgoing, bad)
    outgoing.now += 1
    order(outgoing, good)
    resend = redelivery_store.redeliver_range

    def fail(transaction: Any, endpoint: WebhookEndpoint, first: int, last: int) -> int:  # noqa: ANN401 - as redeliver_range
        if endpoint.id == bad.id:
            raise ZeroDivisionError
        return resend(transaction, endpoint, first, last)

    monkeypatch.setattr(redelivery_store, "redeliver_range", fail)
    async with running(outgoing, answering(200)):
        await until(lambda: statuses(outgoing, good) == ["DELIVERED"] * 5)
        await until(lambda: not ready(outgoing))
        await until(lambda: statuses(outgoing, bad) == ["DELIVERED"] * 2)
        monkeypatch.setattr(redelivery_store, "redeliver_range", resend)
        outgoing.now += PUT_OFF_MS
        await until(lambda: statuses(outgoing, bad) == ["DELIVERED"] * 5)


def test_an_order_is_put_off_for_a_minute_and_given_up_three_days_after_it_was_given(
    outgoing: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paidonce.webhook_endpoints.redelivery.STEP_EVENTS_MAX", 2)
    outgoing.happen(*["m1"] * 5)
    first, second = outgoing.endpoint(), outgoing.endpoint()
    name, other = order(outgoing, first), order(outgoing, second)
    outgoing.do(put_off_upkeep, Upkeep([name], []))
    outgoing.now += PUT_OFF_MS - 1
    assert ready(outgoing) == [other]
    outgoing.do(put_off_upkeep, Upkeep([other], []))
    outgoing.now += 1
    assert ready(outgoing) == [name]
    outgoing.now += GIVE_UP_MS - PUT_OFF_MS - 1
    outgoing.do(put_off_upkeep, Upkeep([name], []))
    assert unfinished(outgoing, first, second) == [name.id, other.id]
    outgoing.now += 1
    outgoing.do(put_off_upkeep, Upkeep([name], []))
    assert unfinished(outgoing, first, second) == [other.id]
