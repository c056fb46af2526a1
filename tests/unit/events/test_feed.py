"""Following the event log on both databases: no event is missed or repeated, and nothing is buffered for a follower."""

import asyncio
from typing import Any, Final
from unittest.mock import patch

import pytest
from structlog.testing import capture_logs

from paidonce.database.batch import CommitNotice
from paidonce.errors import DatabaseUnavailable, Overloaded
from paidonce.events.actions import EventsAfter, list_events
from paidonce.events.feed import PAGE_MAX, RECENT_MAX, Feed
from paidonce.events.store import EventFilter
from paidonce.jobs import poller
from paidonce.merchants.model import Mode, Tenant
from tests.unit.events.event_log_harness import SECONDS_MAX, FollowerLog, event_log_harness

TENANT: Final = Tenant("m1", "test")


async def test_pages_have_neither_gap_nor_repeat_while_writers_write(migrated_database_url: str) -> None:
    async with event_log_harness(migrated_database_url) as harness:
        writing = asyncio.create_task(harness.happen(60, merchants=["m1", "m2"]))
        read: list[int] = []
        while len(read) < 60:
            wanted = EventFilter(tenant=TENANT, limit=7, after=read[-1] if read else 0)
            page = await harness.reader.submit(list_events, wanted)
            assert page.has_more <= (len(page.events) == 7)
            read += [event.sequence for event in page.events]
        await writing
    assert read == list(range(1, 61))


async def test_followers_of_both_modes_get_each_their_own_numbers_while_both_are_written(
    migrated_database_url: str,
) -> None:
    async with event_log_harness(migrated_database_url) as harness:
        followers = {mode: await harness.join(0, mode=mode) for mode in Mode}
        # The same commits have events of both modes, and other commits those of one alone.
        writing = [harness.happen(60, modes=Mode), harness.happen(30, modes=[Mode.LIVE]), harness.happen(10)]
        telling = [followers[Mode.TEST].until(70), followers[Mode.LIVE].until(90)]
        await asyncio.gather(*writing, *telling)
    assert followers[Mode.TEST].sequences == list(range(1, 71))
    assert followers[Mode.LIVE].sequences == list(range(1, 91))
    assert [followers[mode].modes for mode in Mode] == [{mode} for mode in Mode]


async def test_a_follower_that_joins_while_events_happen_gets_each_of_them_once_from_its_position(
    migrated_database_url: str,
) -> None:
    async with event_log_harness(migrated_database_url) as harness:
        await harness.happen(2 * PAGE_MAX, at_once=100)
        writing = asyncio.create_task(harness.happen(200))
        followers = []
        for after in [*range(0, 200, 20), 199]:
            followers.append((after, await harness.join(after)))
            await harness.happen(1)
        last = 200 + 200 + len(followers)
        told = await asyncio.gather(*(follower.until(last) for _, follower in followers))
        await writing
    for (after, _), sequences in zip(followers, told, strict=True):
        assert sequences == list(range(after + 1, last + 1))


async def test_a_commit_of_this_process_is_sent_at_once(migrated_database_url: str) -> None:
    async with event_log_harness(migrated_database_url) as harness:
        follower = await harness.join(0)
        telling = asyncio.create_task(follower.until(1))
        await harness.happen(1)
        assert await telling == [1]  # Nobody would look again for ten minutes.


async def test_an_event_that_is_committed_just_before_a_follower_joins_is_sent_at_once(
    migrated_database_url: str,
) -> None:
    async with event_log_harness(migrated_database_url) as harness:
        newest = (await harness.feed.bounds_to_follow(TENANT)).newest
        await harness.happen(1)  # Nobody follows yet: the feed takes no note of it.
        assert await FollowerLog(harness.feed, TENANT, 0, newest).until(1) == [1]


async def test_one_wake_is_enough_for_more_than_one_read_brings(migrated_database_url: str) -> None:
    async with event_log_harness(migrated_database_url, is_notified=False) as harness:
        follower = await harness.join(0)
        await harness.happen(3 * RECENT_MAX, at_once=64)
        harness.feed.committed(CommitNotice(frozenset({TENANT})))
        assert await follower.until(3 * RECENT_MAX) == list(range(1, 3 * RECENT_MAX + 1))


async def test_a_commit_of_another_process_is_sent_at_the_next_poll(migrated_database_url: str) -> None:
    async with event_log_harness(migrated_database_url, is_notified=False, poll_seconds=0.05) as harness:
        follower = await harness.join(0)
        await harness.happen(3)
        assert await follower.until(3) == [1, 2, 3]


async def test_commits_of_another_process_are_sent_while_this_one_keeps_committing_for_another_merchant(
    migrated_database_url: str,
) -> None:
    async with event_log_harness(migrated_database_url, is_notified=False, poll_seconds=0.05) as harness:
        busy, quiet = await harness.join(0), await harness.join(0, "m2")

        async def ring() -> None:
            while True:
                harness.feed.committed(CommitNotice(frozenset({TENANT})))
                await asyncio.sleep(0)

        ringing = asyncio.create_task(ring())
        try:
            await harness.happen(1, merchants=["m2"])
            assert await quiet.until(1) == [1]
        finally:
            ringing.cancel()
        assert busy.sequences == []


async def test_a_merchant_whose_events_cannot_be_read_does_not_block_others(migrated_database_url: str) -> None:
    merchants = ["m1", "m2", "m3"]
    async with event_log_harness(migrated_database_url, is_notified=False, poll_seconds=0.05) as harness:
        followers = [await harness.join(0, merchant) for merchant in merchants]
        submit = harness.reader.submit

        def refuse(action: Any, request: Any) -> Any:  # noqa: ANN401 - the batcher's own
            if isinstance(request, EventsAfter) and "m2" in {seen.merchant_id for seen in request.seen}:
                raise ZeroDivisionError
            return submit(action, request)

        with patch.object(harness.reader, "submit", refuse), capture_logs() as lines:
            await harness.happen(1, merchants=merchants)
            assert [await followers[place].until(1) for place in (0, 2)] == [[1], [1]]
        assert {one["merchant_id"] for one in lines if one["event"] == "events_not_read"} == {"m2"}
        assert await followers[1].until(1) == [1]


@pytest.mark.parametrize("meanwhile", [{Tenant("m2", "test")}, set()])
async def test_events_that_the_database_did_not_give_are_sent_when_it_responds_again_without_another_commit(
    migrated_database_url: str, meanwhile: set[Tenant]
) -> None:
    async with event_log_harness(migrated_database_url, is_notified=False) as harness:
        followers = [await harness.join(0), await harness.join(0, "m2")]
        await harness.happen(1, merchants=["m1", "m2"])
        harness.feed.committed(CommitNotice(frozenset({TENANT, Tenant("m2", "test")})))
        assert [await follower.until(1) for follower in followers] == [[1], [1]]
        submit = harness.reader.submit
        refused: list[Any] = []

        def refuse_once(action: Any, request: Any) -> Any:  # noqa: ANN401 - the batcher's own
            if refused:
                return submit(action, request)
            refused.append(request)
            harness.feed.committed(CommitNotice(frozenset(meanwhile)))
            raise DatabaseUnavailable

        await harness.happen(1, merchants=["m1", "m2"])
        with patch.object(harness.reader, "submit", refuse_once), patch.object(poller, "BACKOFF_SECONDS_MAX", 0.01):
            harness.feed.committed(CommitNotice(frozenset({TENANT})))
            told = followers if meanwhile else followers[:1]
            assert [await follower.until(2) for follower in told] == [[1, 2] for _ in told]
        assert [[seen.merchant_id for seen in one.seen] for one in refused] == [["m1"]]


async def test_a_follower_that_leaves_while_its_log_is_read_disturbs_no_other(migrated_database_url: str) -> None:
    async with event_log_harness(migrated_database_url, is_notified=False) as harness:
        leaving, staying = await harness.join(0), await harness.join(0, "m2")
        submit = harness.reader.submit

        async def read_and_leave(action: Any, request: Any) -> Any:  # noqa: ANN401 - the batcher's own
            found = await submit(action, request)
            if isinstance(request, EventsAfter) and any(one.merchant_id == "m1" for one in found):
                leaving.leave()
            return found

        await harness.happen(1, merchants=["m1", "m2"])
        with patch.object(harness.reader, "submit", read_and_leave), capture_logs() as lines:
            harness.feed.committed(CommitNotice(frozenset({TENANT, Tenant("m2", "test")})))
            assert await staying.until(1) == [1]
        assert [one["event"] for one in lines] == []
        assert leaving.sequences == []


async def test_a_log_that_nobody_follows_any_more_is_read_no_more(migrated_database_url: str) -> None:
    async with event_log_harness(migrated_database_url, is_notified=False, poll_seconds=0.02) as harness:
        leaving, _ = await harness.join(0), await harness.join(0, "m2")
        await harness.look(1)
        leaving.leave()
        submit = harness.reader.submit
        read: list[set[str]] = []
        enough = asyncio.Event()

        def noted(action: Any, request: Any) -> Any:  # noqa: ANN401 - the batcher's own
            read.append({seen.merchant_id for seen in request.seen})
            if len(read) == 3:
                enough.set()
            return submit(action, request)

        with patch.object(harness.reader, "submit", noted):
            await asyncio.wait_for(enough.wait(), SECONDS_MAX)
        assert read == [{"m2"}] * 3


async def test_a_slow_follower_costs_no_buffer_and_gets_every_event_later(
    migrated_database_url: str,
) -> None:
    async with event_log_harness(migrated_database_url) as harness:
        slow, quick = await harness.join(0), await harness.join(0)
        reading = asyncio.create_task(quick.until(500))
        await harness.happen(500, at_once=50)
        await reading
        kept = [len(tail.recent) for tail in harness.feed._tails.values()]  # noqa: SLF001 - what is kept for everybody
        assert kept == [RECENT_MAX]
        assert await slow.until(500) == quick.sequences == list(range(1, 501))


async def test_too_many_followers_are_refused_until_one_leaves(migrated_database_url: str) -> None:
    async with event_log_harness(migrated_database_url, limit=2) as harness:
        first, _ = await harness.join(0), await harness.join(0, "m2")
        with pytest.raises(Overloaded):
            await harness.join(0)
        first.leave()
        await harness.join(0)


async def test_when_the_process_stops_all_followers_end_and_none_are_accepted(migrated_database_url: str) -> None:
    async with event_log_harness(migrated_database_url) as harness:
        follower = await harness.join(0)
        waiting = asyncio.create_task(follower.read())
        await asyncio.sleep(0)
        harness.feed.close()
        await waiting
        assert follower.follower.ended
        with pytest.raises(Overloaded):
            await harness.join(0)


async def test_a_feed_that_has_stopped_leaves_no_task_behind(migrated_sqlite_url: str) -> None:
    async with event_log_harness(migrated_sqlite_url) as harness:
        before = asyncio.all_tasks()
        feed = Feed(poll_seconds=600.0, limit=1)
        feed.start(harness.reader)
        await feed.stop()
        assert asyncio.all_tasks() == before


async def test_a_thousand_idle_followers_cost_one_small_read_a_poll_and_all_get_events(
    migrated_database_url: str,
) -> None:
    async with event_log_harness(migrated_database_url, is_notified=False, poll_seconds=0.02) as harness:
        merchants = [f"m{number}" for number in range(250)]
        followers = [
            follower  # A thousand at once could wait for longer than a read may, on a machine that does much else.
            for merchant in merchants
            for follower in await asyncio.gather(*(harness.join(0, merchant) for _ in range(4)))
        ]
        reading = [asyncio.create_task(follower.until(1)) for follower in followers]
        looks = await harness.look(3)
        await harness.happen(1, merchants=merchants, at_once=250)
        await asyncio.gather(*reading)
    assert {tuple(follower.sequences) for follower in followers} == {(1,)}
    assert looks == 3
