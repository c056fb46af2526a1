"""An event log that is written and followed in one process, built from the parts of the service."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from unittest.mock import patch

from paidonce import ids
from paidonce.checkouts.actions import create_checkouts
from paidonce.checkouts.model import NewCheckout
from paidonce.clock import system_clock
from paidonce.database.batcher import threaded_batcher
from paidonce.database.engine import open_database
from paidonce.database.migrate import migrate
from paidonce.database_url import parse_database_url
from paidonce.errors import Overloaded
from paidonce.events.actions import load_newest_sequences
from paidonce.events.feed import Feed, Follower
from paidonce.events.store import write_events
from paidonce.merchants.model import Tenant

SECONDS_MAX: Final = 90.0


class EventLogHarness:
    """``is_notified`` is false where the log is written as if by another process, so that the feed is not notified
    of commits.
    """

    def __init__(self, url: str, *, is_notified: bool, limit: int, poll_seconds: float) -> None:
        self.feed = Feed(poll_seconds=poll_seconds, limit=limit)
        self.database = open_database(
            parse_database_url(url),
            clock=system_clock,
            before_commit=write_events,
        )
        migrate(self.database)
        self.writer, self.reader = (
            threaded_batcher(begin, name=name, queue_limit=10_000, batch_limit=64, chance=lambda: 0.5)
            for begin, name in ((self.database.write, "writer"), (self.database.read, "reader"))
        )
        if is_notified:
            self.writer.add_commit_listener(self.feed.committed)

    async def happen(
        self, count: int, *, merchants: Iterable[str] = ("m1",), modes: Iterable[str] = ("test",), at_once: int = 16
    ) -> None:
        """Create this many events for each merchant in each mode."""
        commands = [
            NewCheckout(
                id=ids.new_id(ids.CHECKOUT),
                merchant_id=merchant,
                idempotency_key=ids.new_id("key"),
                amount=1000,
                currency="USD",
                mode=mode,
            )
            for _ in range(count)
            for merchant in merchants
            for mode in modes
        ]
        for start in range(0, len(commands), at_once):
            await asyncio.gather(*(self._create(one) for one in commands[start:][:at_once]))

    async def _create(self, command: NewCheckout) -> None:
        """Create a checkout; where too many requests wait, which a busy machine makes of few, ask again."""
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                with suppress(Overloaded):
                    await self.writer.submit(create_checkouts, command)
                    return

    async def look(self, times: int) -> int:
        """Wait for this many polls of the feed; returns the number of queries."""
        asked = 0
        enough = asyncio.Event()
        submit = self.reader.submit

        def counted(action: Any, request: Any) -> Any:  # noqa: ANN401 - the batcher's own
            nonlocal asked
            asked += 1
            if asked >= times:
                enough.set()
            return submit(action, request)

        with patch.object(self.reader, "submit", counted):
            await asyncio.wait_for(enough.wait(), SECONDS_MAX)
        return asked

    @asynccontextmanager
    async def unread(self) -> AsyncIterator[None]:
        """Let the feed read nothing for as long as this lasts. What it has begun to read is read before."""
        resumed = asyncio.Event()
        submit = self.reader.submit

        async def wait_and_submit(action: Any, request: Any) -> Any:  # noqa: ANN401 - the batcher's own
            await resumed.wait()
            return await submit(action, request)

        await submit(load_newest_sequences, Tenant("m1", "test"))
        with patch.object(self.reader, "submit", wait_and_submit):
            yield
        resumed.set()

    async def join(self, after: int, merchant: str = "m1", mode: str = "test") -> "FollowerLog":
        tenant = Tenant(merchant, mode)
        return FollowerLog(self.feed, tenant, after, (await self.feed.bounds_to_follow(tenant)).newest)


class FollowerLog:
    """The events that a follower has received, in order."""

    def __init__(self, feed: Feed, tenant: Tenant, after: int, newest: int) -> None:
        self._context = feed.follow(tenant, after=after, newest=newest)
        self.follower: Follower = self._context.__enter__()
        self.sequences: list[int] = []
        self.modes: set[str] = set()

    async def until(self, sequence: int) -> list[int]:
        """Read until an event with this number was received."""
        async with asyncio.timeout(SECONDS_MAX):
            while not self.sequences or self.sequences[-1] < sequence:
                assert not self.follower.ended, "The feed was stopped: a read returns at once, and nothing ever comes."
                await self.read()
        return self.sequences

    async def read(self) -> None:
        events = await self.follower.read(seconds=SECONDS_MAX)
        self.sequences += [event.sequence for event in events]
        self.modes |= {event.mode for event in events}

    def leave(self) -> None:
        self._context.__exit__(None, None, None)


@asynccontextmanager
async def event_log_harness(
    url: str, *, is_notified: bool = True, limit: int = 10_000, poll_seconds: float = 600.0
) -> AsyncIterator[EventLogHarness]:
    """Open a log and its feed. By default it polls so rarely that only notifications wake it."""
    harness = EventLogHarness(url, is_notified=is_notified, limit=limit, poll_seconds=poll_seconds)
    await harness.writer.start()
    await harness.reader.start()
    harness.feed.start(harness.reader)
    try:
        yield harness
    finally:
        await harness.feed.stop()
        await harness.writer.stop()
        await harness.reader.stop()
        harness.database.close()
