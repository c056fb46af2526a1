"""The event stream: what it sends, when it is idle, and when it ends."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from unittest.mock import patch

import msgspec
from starlette.types import Message

from paidonce.events.feed import PAGE_MAX, RECENT_MAX
from paidonce.events.model import Event
from paidonce.events.streaming import EventStream, Pace
from paidonce.http.rate_limits import LISTS_AT_ONCE, RateLimiter, RateLimitState, make_rate_limiter
from paidonce.merchants.model import Tenant
from paidonce.settings import Settings
from tests.unit.events.event_log_harness import SECONDS_MAX, EventLogHarness, event_log_harness

ADDRESS = "192.0.2.1"
QUIET = Pace(heartbeat=600)


class Client:
    """Receives what is sent, until it is ``stuck`` or has ``gone``."""

    def __init__(self) -> None:
        self.text = ""
        self.offered = 0
        self.complete = False
        self.leaving = asyncio.Event()
        self.going_on = asyncio.Event()
        self.going_on.set()
        self._more = asyncio.Event()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            return
        if not message["more_body"]:
            self.complete = True
            return
        self.offered = len(message["body"])
        self._more.set()
        await self.going_on.wait()
        self.text += message["body"].decode()
        self._more.set()

    async def receive(self) -> Message:
        await self.leaving.wait()
        return {"type": "http.disconnect"}

    async def until(self, part: str, *, offered: int = 0) -> None:
        """Wait until it has taken a text, and was offered so many bytes at once."""
        async with asyncio.timeout(SECONDS_MAX):
            while part not in self.text or self.offered < offered:
                self._more.clear()
                await self._more.wait()


@contextmanager
def streaming(
    harness: EventLogHarness,
    *,
    after: int = 0,
    newest: int = 0,
    types: frozenset[str] | None = None,
    pace: Pace = QUIET,
    limits: RateLimiter | None = None,
) -> Iterator[tuple[Client, "asyncio.Task[None]"]]:
    client = Client()
    follow = partial(harness.feed.follow, Tenant("m1", "test"), after=after, newest=newest)
    visit = RateLimitState(limits or make_rate_limiter(Settings()), ADDRESS)
    stream = EventStream(follow, types=types, pace=pace, rate_limit=visit)
    task = asyncio.ensure_future(stream({}, client.receive, client.send))
    try:
        yield client, task
    finally:
        client.going_on.set()
        client.leaving.set()


async def test_an_event_is_sent_with_its_number_its_type_and_itself_on_one_line(sqlite_url: str) -> None:
    async with event_log_harness(sqlite_url) as harness:
        await harness.happen(2)
        with streaming(harness, after=1, newest=2) as (client, _):
            await client.until("data: ")
    first, second, rest = client.text.split("\n\n")
    assert first == "retry: 2000\nid: 1"
    number, kind, data = second.split("\n")
    assert (number, kind, rest) == ("id: 2", "event: checkout.created", "")
    event = msgspec.json.decode(data.removeprefix("data: "))
    assert (event["sequence"], event["type"], event["merchantId"]) == (2, "checkout.created", "m1")


async def test_an_idle_stream_sends_heartbeats_with_its_position(sqlite_url: str) -> None:
    async with event_log_harness(sqlite_url) as harness:
        await harness.happen(1)
        with streaming(harness, after=1, newest=1, pace=Pace(heartbeat=0.01)) as (client, _):
            await client.until(": \nid: 1\n\n: \nid: 1\n\n")


async def test_what_is_not_wanted_is_left_out_and_yet_counted(sqlite_url: str) -> None:
    async with event_log_harness(sqlite_url) as harness:
        await harness.happen(3)
        with streaming(harness, newest=3, types=frozenset({"checkout.completed"})) as (client, _):
            await client.until("id: 3\n\n")
    assert "event:" not in client.text


async def test_a_client_that_has_gone_is_followed_no_longer(sqlite_url: str) -> None:
    async with event_log_harness(sqlite_url, limit=1) as harness:
        with streaming(harness) as (client, task):
            await client.until("id: 0\n\n")
            client.leaving.set()
            await asyncio.wait_for(task, SECONDS_MAX)
        await harness.join(0)  # There is room again.


async def test_a_client_that_stops_reading_is_disconnected(sqlite_url: str) -> None:
    async with event_log_harness(sqlite_url, limit=1) as harness:
        with streaming(harness, pace=Pace(stuck=0.01, heartbeat=600)) as (client, task):
            await client.until("id: 0\n\n")
            client.going_on.clear()
            await harness.happen(1)
            await asyncio.wait_for(task, SECONDS_MAX)
            assert not client.complete
        await harness.join(0)


async def test_a_stream_ends_properly_when_it_was_open_for_long_or_the_process_stops(sqlite_url: str) -> None:
    async with event_log_harness(sqlite_url) as harness:
        with (
            streaming(harness, pace=Pace(heartbeat=0.01, open=0.05)) as (long, task_of_long),
            streaming(harness) as (other, task_of_other),
        ):
            await asyncio.wait_for(task_of_long, SECONDS_MAX)
            assert long.complete
            await other.until("id: 0\n\n")
            assert not other.complete
            harness.feed.close()
            await asyncio.wait_for(task_of_other, SECONDS_MAX)
            assert other.complete


async def test_a_stream_ends_when_the_database_is_down_so_that_the_client_reconnects(sqlite_url: str) -> None:
    async with event_log_harness(sqlite_url) as harness:
        await harness.happen(1)
        await harness.reader.stop()  # Refuses from now on, as it does when too much waits.
        with streaming(harness, newest=1) as (client, task):
            await asyncio.wait_for(task, SECONDS_MAX)
        assert client.complete


async def test_followers_that_are_far_behind_read_in_turns_and_disconnected_ones_read_nothing(sqlite_url: str) -> None:
    newest = RECENT_MAX + PAGE_MAX
    async with event_log_harness(sqlite_url) as harness:
        await harness.happen(newest)
        limits = make_rate_limiter(Settings())
        for _ in range(LISTS_AT_ONCE):
            await limits.lists.acquire("others")
        read_history = harness.feed.read_history
        positions: list[int] = []

        async def noted(tenant: Tenant, position: int) -> list[Event]:
            positions.append(position)
            return await read_history(tenant, position)

        with (
            patch.object(harness.feed, "read_history", noted),
            streaming(harness, newest=newest, limits=limits) as (gone, task),
            streaming(harness, newest=newest, limits=limits) as (behind, _),
            streaming(harness, after=newest, newest=newest, limits=limits) as (live, _),
        ):
            await harness.happen(1)
            await live.until(f"id: {newest + 1}\n")
            assert positions == [], "they wait for their turn"
            gone.leaving.set()
            await asyncio.sleep(0)
            limits.lists.release()
            await behind.until(f"id: {newest + 1}\n")
            await asyncio.wait_for(task, SECONDS_MAX)
            assert positions.count(0) == 1


async def test_what_a_stream_is_sent_and_does_not_take_counts_as_unsent(sqlite_url: str) -> None:
    async with event_log_harness(sqlite_url) as harness:
        await harness.happen(PAGE_MAX)
        limits = make_rate_limiter(Settings())
        with streaming(harness, newest=PAGE_MAX, limits=limits) as (client, task):
            await client.until("id: 0\n\n")
            client.going_on.clear()
            await client.until("id: 0\n\n", offered=PAGE_MAX * 100)
            assert limits.unsent.held(ADDRESS) == client.offered
            client.going_on.set()
            client.leaving.set()
            await asyncio.wait_for(task, SECONDS_MAX)
            assert limits.unsent.held(ADDRESS) == 0
