"""What clients are told of a log whose oldest events are deleted, on both databases."""

import asyncio
from collections.abc import Sequence
from typing import Final

import pytest
from sqlalchemy import delete, insert

from paidonce.database.batch import CommitNotice
from paidonce.database.schema import event, event_log
from paidonce.database.transaction import Transaction
from paidonce.errors import EventsDeleted
from paidonce.merchants.model import Tenant
from paidonce.retention.actions import PlanDeletion, delete_old, plan_deletions
from paidonce.retention.model import RetentionPeriods
from tests.support.in_process_service import InProcessService
from tests.unit.events.event_log_harness import EventLogHarness, event_log_harness

SECONDS_MAX: Final = 90.0
MINUTE_MS: Final = 60_000


async def forget(service: InProcessService) -> None:
    """Delete every event that there is, after a minute."""
    await service.service.rollup.catch_up()
    service.clock.now += MINUTE_MS + 1
    tenant = Tenant(service.merchant_id, "test")
    planned = await service.service.reader.submit(
        plan_deletions, PlanDeletion(tenant, RetentionPeriods(event_ms=MINUTE_MS))
    )
    assert planned is not None
    assert await service.service.writer.submit(delete_old, planned)


async def test_a_page_says_with_which_number_the_log_begins(service: InProcessService) -> None:
    await service.checkout()
    assert (await service.get("/events")).json()["firstSequence"] == 1
    await service.checkout()
    await forget(service)
    assert (await service.get("/events")).json() == {"data": [], "hasMore": False, "firstSequence": 3}
    await service.checkout()
    page = (await service.get("/events", after="0")).json()
    assert ([one["sequence"] for one in page["data"]], page["firstSequence"]) == ([3], 3)


@pytest.mark.parametrize("path", ["/events", "/events/stream"])
async def test_a_position_whose_next_event_is_deleted_is_a_410_with_the_number_that_the_log_begins_with(
    service: InProcessService, path: str
) -> None:
    for _ in range(3):
        await service.checkout()
    await forget(service)
    await service.checkout()
    refused = await service.get(path, after="2")
    assert refused.status_code == 410
    problem = refused.json()
    assert (problem["code"], problem["firstSequence"], problem["retryable"]) == ("events_deleted", 4, False)


async def test_a_position_just_before_the_beginning_of_the_log_has_missed_nothing(service: InProcessService) -> None:
    for _ in range(3):
        await service.checkout()
    await forget(service)
    await service.checkout()
    page = await service.get("/events", after="3")
    assert [one["sequence"] for one in page.json()["data"]] == [4]
    headers = {"Authorization": f"Bearer {service.merchant_key}"}
    assert (await service.http.head("/events/stream", params={"after": "3"}, headers=headers)).status_code == 200
    assert (await service.http.head("/events/stream", params={"after": "0"}, headers=headers)).status_code == 200


async def test_the_last_event_id_of_a_stream_is_refused_as_a_position_is(service: InProcessService) -> None:
    for _ in range(3):
        await service.checkout()
    await forget(service)
    headers = {"Authorization": f"Bearer {service.merchant_key}", "Last-Event-ID": "1"}
    refused = await service.http.get("/events/stream", headers=headers)
    assert (refused.status_code, refused.json()["firstSequence"]) == (410, 4)


async def test_a_deleted_event_is_not_found(service: InProcessService) -> None:
    await service.checkout()
    ((event,), _, _) = (await service.get("/events")).json().values()
    await forget(service)
    missing = await service.get(f"/events/{event['id']}")
    assert (missing.status_code, missing.json()["code"]) == (404, "event_not_found")


async def test_a_timeline_says_whether_it_is_complete(service: InProcessService) -> None:
    old = await service.checkout()
    complete = (await service.get(f"/checkouts/{old}/timeline")).json()
    assert ([one["type"] for one in complete["data"]], complete["complete"]) == (["checkout.created"], True)
    await forget(service)
    assert (await service.get(f"/checkouts/{old}/timeline")).json() == {"data": [], "complete": False}
    await service.made(f"/checkouts/{old}/cancel")
    cut = (await service.get(f"/checkouts/{old}/timeline")).json()
    assert ([one["type"] for one in cut["data"]], cut["complete"]) == (["checkout.canceled"], False)
    assert (await service.get("/checkouts/chk_00000000000000000000000000/timeline")).status_code == 404


async def test_a_range_that_begins_before_the_log_is_a_410(service: InProcessService) -> None:
    await service.checkout()
    await forget(service)
    endpoint = await service.made("/webhook-endpoints", {"url": "http://127.0.0.1:9/webhooks"})
    refused = await service.post(f"/webhook-endpoints/{endpoint['id']}/redeliver", {"fromSequence": 1, "toSequence": 2})
    assert (refused.status_code, refused.json()["firstSequence"]) == (410, 2)


async def delete_from_log(harness: EventLogHarness, first: int) -> None:
    """Delete the events before a number, as a process does whose clock is a year ahead and whose log is counted."""

    def delete_before(transaction: Transaction, requests: Sequence[int]) -> list[None]:
        for number in requests:
            start = {"merchant_id": "m1", "mode": "test", "first_sequence": number, "first_delivered": number}
            transaction.run(insert(event_log).values(**start))
            transaction.run(delete(event).where(event.c.sequence < number))
        return [None for _ in requests]

    await harness.writer.submit(delete_before, first)


async def test_a_follower_whose_next_event_is_deleted_is_told_so_and_is_sent_nothing_beyond_it(
    migrated_database_url: str,
) -> None:
    async with event_log_harness(migrated_database_url) as harness:
        await harness.happen(5)
        behind = await harness.join(2)
        up_to_date = await harness.join(5)
        await delete_from_log(harness, 5)
        with pytest.raises(EventsDeleted) as told:
            await asyncio.wait_for(behind.read(), SECONDS_MAX)
        assert (told.value.first_sequence, behind.sequences) == (5, [])
        await harness.happen(1)
        assert await up_to_date.until(6) == [6]


async def test_a_follower_that_waits_is_told_at_once_that_the_one_event_after_its_last_is_deleted(
    migrated_database_url: str,
) -> None:
    async with event_log_harness(migrated_database_url, is_notified=False) as harness:
        waiting = await harness.join(0)
        reading = asyncio.create_task(waiting.until(2))
        async with harness.unread():
            await harness.happen(2)
            await delete_from_log(harness, 2)
        harness.feed.committed(CommitNotice(frozenset({Tenant("m1", "test")})))
        with pytest.raises(EventsDeleted) as told:
            await asyncio.wait_for(reading, SECONDS_MAX)
        assert (told.value.first_sequence, waiting.sequences) == (2, [])
        harness.feed.committed(CommitNotice(frozenset({Tenant("m1", "test")})))
        assert await (await harness.join(1)).until(2) == [2]


async def test_a_follower_that_has_read_all_is_told_of_what_was_deleted_before_it_was_read(
    migrated_database_url: str,
) -> None:
    async with event_log_harness(migrated_database_url, is_notified=False) as harness:
        follower = await harness.join(0)
        await harness.happen(2)
        harness.feed.committed(CommitNotice(frozenset({Tenant("m1", "test")})))
        assert await follower.until(2) == [1, 2]
        async with harness.unread():
            await harness.happen(3)
            await delete_from_log(harness, 5)
        harness.feed.committed(CommitNotice(frozenset({Tenant("m1", "test")})))
        with pytest.raises(EventsDeleted) as told:
            await asyncio.wait_for(follower.until(5), SECONDS_MAX)
        assert (told.value.first_sequence, follower.sequences) == (5, [1, 2])


async def test_a_follower_of_a_log_without_events_is_told_where_it_begins_and_does_not_spin(
    migrated_database_url: str,
) -> None:
    async with event_log_harness(migrated_database_url) as harness:
        await harness.happen(3)
        behind = await harness.join(1)
        await delete_from_log(harness, 4)
        with pytest.raises(EventsDeleted):
            await asyncio.wait_for(behind.read(), SECONDS_MAX)
