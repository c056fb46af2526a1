"""The event feed: streams of the event log. A follower has only a position, the sequence number of its last event.

A merchant has a log in each mode. Each log that has followers has one tail, which reads new events once for all of them
and keeps the newest. A follower that is further behind reads the log itself, at its own pace. So nothing is buffered
for a follower, and since sequence numbers have no gaps, no event is repeated or left out. Commits of this process wake
the tails at once; commits of other processes are found by polling.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog

from paidonce.database.batch import CommitNotice
from paidonce.database.batcher import Batcher
from paidonce.errors import EventsDeleted, Overloaded
from paidonce.events.actions import EventsAfter, LogBounds, load_events_after, load_log_bounds
from paidonce.events.model import Event
from paidonce.events.store import ReadPosition
from paidonce.jobs.halving import run_by_halves
from paidonce.jobs.poller import Poller
from paidonce.merchants.model import Tenant

log = structlog.get_logger()

RECENT_MAX: Final = 64  # Events that a tail keeps: what followers that keep up miss while one answer is sent.
PAGE_MAX: Final = 100
UNFOLLOWED_SECONDS: Final = 60.0  # Whoever begins to follow wakes it.
POLLING_SHARE_MAX: Final = 10  # Polling takes at most a tenth of the time, however many follow.


class _Tail:
    """The end of one log: the events up to the number ``newest``, as far back as they are kept."""

    __slots__ = ("followers", "newest", "recent")

    def __init__(self, newest: int) -> None:
        self.newest = newest
        self.recent: deque[Event] = deque(maxlen=RECENT_MAX)
        self.followers: set[Follower] = set()

    def since(self, position: int) -> list[Event] | None:
        """Tell what comes after a number; None where that is further back than is kept."""
        if position < self.newest - len(self.recent):
            return None
        return [event for event in self.recent if event.sequence > position]

    def append(self, events: list[Event]) -> None:
        self.recent.extend(events)
        self.newest = events[-1].sequence
        for follower in self.followers:
            follower.wake()

    def begin_again(self, events: list[Event]) -> None:
        """Go on with these events where those before them are deleted: every follower is behind then."""
        self.recent.clear()
        self.append(events)


class Follower:
    """Somebody who follows a log. ``position`` is the number of the last one that it was given."""

    __slots__ = ("_feed", "_tail", "_tenant", "_wakeup", "ended", "position")

    def __init__(self, feed: "Feed", tail: _Tail, tenant: Tenant, position: int) -> None:
        self._feed = feed
        self._tail = tail
        self._tenant = tenant
        self._wakeup = asyncio.Event()
        self.position = position
        self.ended = False

    @property
    def is_behind(self) -> bool:
        """Tell whether the next events have to be read from the log."""
        return self._tail.since(self.position) is None

    def wake(self) -> None:
        """Look again."""
        self._wakeup.set()

    def end(self) -> None:
        """Give nothing more: its client has gone, or the process is about to stop."""
        self.ended = True
        self._wakeup.set()

    async def read(self, *, seconds: float) -> list[Event]:
        """Return the events that come next, in their order; waits up to ``seconds`` for one, else returns none.

        Raises EventsDeleted where the next events were deleted before they were read.
        """
        self._wakeup.clear()  # Before looking: what comes after it sets it again.
        found = self._tail.since(self.position)
        if found is None:
            found = await self._feed.read_history(self._tenant, self.position)
            if not found or found[0].sequence != self.position + 1:
                await self._feed.check_kept(self._tenant, self.position)
        elif not found and not self.ended:
            try:
                async with asyncio.timeout(seconds):
                    await self._wakeup.wait()
            except TimeoutError:
                return []
            found = self._tail.since(self.position) or []  # Too far back: the next call reads the log.
        if found:
            self.position = found[-1].sequence
        return found


class Feed:
    """The followers in this process, at most ``limit``."""

    def __init__(self, *, poll_seconds: float, limit: int) -> None:
        self._poll_seconds = poll_seconds
        self._limit = limit
        self._reader: Batcher | None = None
        self._poller = Poller("events", self._poll, poll_seconds=poll_seconds)
        self._poll_at = 0.0  # In seconds of the event loop's clock.
        self._tails: dict[Tenant, _Tail] = {}
        self._count = 0
        self._changed: set[Tenant] = set()  # Tenants whose logs may have new events.
        self._closed = False

    def start(self, reader: Batcher) -> None:
        """Start to read events for the followers."""
        self._reader = reader
        self._poller.start()

    def close(self) -> None:
        """Give nobody anything more: the process is about to stop."""
        self._closed = True
        for tail in self._tails.values():
            for follower in tail.followers:
                follower.end()

    async def stop(self) -> None:
        """Read no more."""
        self.close()
        await self._poller.stop()

    def committed(self, notice: CommitNotice) -> None:
        """Note the tenants of the events that this process has committed."""
        followed = notice.tenants & self._tails.keys()
        if followed:
            self._note_commits(followed)

    def _note_commits(self, tenants: Iterable[Tenant]) -> None:
        self._changed.update(tenants)
        self._poller.wake()

    async def bounds_to_follow(self, tenant: Tenant) -> LogBounds:
        """Tell where a log begins and ends, to somebody who wants to follow; raises Overloaded."""
        self._refuse_too_many()
        found = await self.bounds(tenant)
        self._refuse_too_many()
        return found

    async def check_kept(self, tenant: Tenant, position: int) -> None:
        """Raise EventsDeleted where events after a number are deleted."""
        first = (await self.bounds(tenant)).first
        if position < first - 1:
            raise EventsDeleted(first)

    async def bounds(self, tenant: Tenant) -> LogBounds:
        """Read where a log begins and ends."""
        return await self._log_reader.submit(load_log_bounds, tenant)

    def _refuse_too_many(self) -> None:
        if self._closed or self._count >= self._limit:
            raise Overloaded

    @property
    def _log_reader(self) -> Batcher:
        assert self._reader is not None, "the feed was not started"
        return self._reader

    @contextmanager
    def follow(self, tenant: Tenant, *, after: int, newest: int) -> Iterator[Follower]:
        """Follow a log after the sequence number ``after``; ``newest`` is what ``bounds_to_follow()`` returned."""
        tail = self._tails.get(tenant)
        if tail is None:
            tail = self._tails[tenant] = _Tail(newest)
            self._note_commits({tenant})  # What was committed since ``newest`` was read.
        follower = Follower(self, tail, tenant, after)
        tail.followers.add(follower)
        self._count += 1
        if self._closed:
            follower.end()
        try:
            yield follower
        finally:
            self._count -= 1
            tail.followers.discard(follower)
            if not tail.followers:
                del self._tails[tenant]

    async def read_history(self, tenant: Tenant, position: int) -> list[Event]:
        """Read from the log what comes after a number."""
        return await self._log_reader.submit(load_events_after, EventsAfter([_position(tenant, position)], PAGE_MAX))

    async def _poll(self) -> float:
        """Read what is new. Returns the seconds until commits of other processes are to be looked for."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        is_poll_due = began >= self._poll_at  # Also while one merchant's commits wake the poller all the time.
        if is_poll_due:
            self._changed |= self._tails.keys()  # Another process may have committed.
        try:
            await self._read_on()
        finally:
            if is_poll_due:
                self._poll_at = loop.time() + max(self._poll_seconds, POLLING_SHARE_MAX * (loop.time() - began))
        return self._poll_at - loop.time() if self._tails else UNFOLLOWED_SECONDS

    async def _read_on(self) -> None:
        """Read what is new in the logs that may have something, and wake those who follow them."""
        wanted, self._changed = self._changed & self._tails.keys(), set()
        seen = [_position(tenant, self._tails[tenant].newest) for tenant in wanted]
        if not seen:
            return
        found: defaultdict[Tenant, list[Event]] = defaultdict(list)

        async def read(part: Sequence[ReadPosition]) -> None:
            for event in await self._log_reader.submit(load_events_after, EventsAfter(part, RECENT_MAX)):
                found[event.tenant].append(event)

        try:
            await run_by_halves(read, seen, failed=_log_not_read)
        except Exception:
            self._changed |= wanted  # The next step reads them.
            raise
        for tenant, events in found.items():
            tail = self._tails.get(tenant)
            # The last follower may have gone meanwhile, and another come with a tail of its own.
            if tail is not None and tail.newest == events[0].sequence - 1:
                tail.append(events)
            elif tail is not None and tail.newest < events[0].sequence - 1:
                tail.begin_again(events)
            if len(events) == RECENT_MAX:
                self._note_commits({tenant})


def _position(tenant: Tenant, seen: int) -> ReadPosition:
    return ReadPosition(tenant.merchant_id, tenant.mode, seen)


def _log_not_read(seen: ReadPosition, error: Exception) -> None:
    log.error("events_not_read", merchant_id=seen.merchant_id, mode=seen.mode, exc_info=error)
