"""Watchers of an API key are notified of its end within five seconds, on a virtual clock and with a fake database."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from paidonce import ids
from paidonce.errors import DatabaseUnavailable
from paidonce.merchants.actions import ActiveKey
from paidonce.merchants.api_key_cache import AGE_SECONDS_MAX, ApiKeyCache
from paidonce.merchants.model import MERCHANT_SCOPES, Caller, Mode
from paidonce.merchants.secret import RANDOM_LENGTH, hash_secret, make_secret
from tests.proof.virtual_time import VirtualLoop, run

ANNA = Caller("m_anna", MERCHANT_SCOPES, "key_1")
HOUR = 3600.0


class KeyLifetimesHarness:
    """A cache, the keys of the database, and when each watcher was notified."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.living: dict[str, float | None] = {}  # Until when each key lives; None for ever.
        self.is_down = False
        self.looks: list[Sequence[str]] = []
        self.times_read = 0
        self.ends: list[float] = []
        self.revoked_at = 0.0
        self.loop = loop
        reader: Any = self
        self.cache = ApiKeyCache(reader, monotonic=self.monotonic)

    def monotonic(self) -> float:
        self.times_read += 1
        return self.loop.time()

    async def submit(self, _action: object, hashes: Sequence[str]) -> dict[str, ActiveKey]:
        self.looks.append(hashes)
        if self.is_down:
            raise DatabaseUnavailable
        found = {}
        for one in hashes:
            until = self.living.get(one, 0.0)
            if until is None or until > self.loop.time():
                found[one] = ActiveKey(ANNA, None if until is None else round(1000 * (until - self.loop.time())))
        return found

    async def admitted(self, until: float | None = None) -> bytes:
        """Make a key, and let a request bear it."""
        secret = make_secret(Mode.TEST, ids.draw_base62(RANDOM_LENGTH)).encode()
        self.living[hash_secret(secret)] = until
        assert await self.cache.find(secret) == ANNA
        return secret

    async def watch(self, secret: bytes, seconds: float = HOUR) -> None:
        """Watch a key until it ends or the time is over."""
        ended = asyncio.Event()

        def end() -> None:
            self.ends.append(self.loop.time())
            ended.set()

        with self.cache.watch(secret, end):
            try:
                async with asyncio.timeout(seconds):
                    await ended.wait()
            except TimeoutError:
                return

    def revoke(self, secret: bytes) -> None:
        """Revoke a key, in another process."""
        del self.living[hash_secret(secret)]
        self.revoked_at = self.loop.time()


def told(story: Callable[[KeyLifetimesHarness], Awaitable[None]]) -> KeyLifetimesHarness:
    """Run a scenario to its end."""

    async def main(loop: VirtualLoop) -> KeyLifetimesHarness:
        world = KeyLifetimesHarness(loop)
        await story(world)
        await world.cache.stop()
        return world

    return run(main)


@pytest.mark.parametrize("after_seconds", [0.0, 0.5, 1.0, 3.7, 100.0, 1000.0])
def test_a_key_that_another_process_revokes_ends_within_five_seconds(after_seconds: float) -> None:
    async def story(world: KeyLifetimesHarness) -> None:
        secret = await world.admitted()
        watching = asyncio.create_task(world.watch(secret))
        await asyncio.sleep(after_seconds)
        world.revoke(secret)
        await watching

    world = told(story)
    assert len(world.ends) == 1
    assert 0 <= world.ends[0] - world.revoked_at < AGE_SECONDS_MAX


def test_a_key_that_this_process_revokes_ends_at_once() -> None:
    async def story(world: KeyLifetimesHarness) -> None:
        secret = await world.admitted()
        watching = asyncio.create_task(world.watch(secret))
        await asyncio.sleep(10.3)
        began = world.loop.time()
        world.revoke(secret)
        world.cache.invalidate()
        await watching
        assert world.loop.time() - began < 0.1

    assert len(told(story).ends) == 1


def test_a_key_that_expires_ends_at_that_moment() -> None:
    async def story(world: KeyLifetimesHarness) -> None:
        await world.watch(await world.admitted(until=100.25))

    assert told(story).ends == [pytest.approx(100.25, abs=0.01)]


@pytest.mark.parametrize("until", [51.2, 52.5, 60.0])
def test_a_key_whose_expiry_is_brought_forward_ends_at_the_new_expiry(until: float) -> None:
    async def story(world: KeyLifetimesHarness) -> None:
        secret = await world.admitted()
        watching = asyncio.create_task(world.watch(secret))
        await asyncio.sleep(50)
        world.living[hash_secret(secret)] = until  # Another process rotated it, with a short overlap.
        await watching

    assert told(story).ends == [pytest.approx(until, abs=0.01)]


def test_an_active_key_is_never_reported_as_ended() -> None:
    async def story(world: KeyLifetimesHarness) -> None:
        await world.watch(await world.admitted())

    assert told(story).ends == []


def test_a_watched_key_ends_after_the_maximum_age_where_the_database_is_down() -> None:
    async def story(world: KeyLifetimesHarness) -> None:
        secret = await world.admitted()
        watching = asyncio.create_task(world.watch(secret))
        await asyncio.sleep(20)
        world.is_down = True
        await watching

    (ended_at,) = told(story).ends
    assert 20 < ended_at <= 20 + AGE_SECONDS_MAX


def test_a_short_trouble_of_the_database_ends_nothing() -> None:
    async def story(world: KeyLifetimesHarness) -> None:
        watching = asyncio.create_task(world.watch(await world.admitted(), 100))
        await asyncio.sleep(20)
        world.is_down = True
        await asyncio.sleep(3)
        world.is_down = False
        await watching

    assert told(story).ends == []


def test_a_key_that_was_revoked_between_its_check_and_the_watch_ends() -> None:
    async def story(world: KeyLifetimesHarness) -> None:
        secret = await world.admitted()
        world.revoke(secret)
        world.cache.invalidate()
        await world.watch(secret)

    (ended_at,) = told(story).ends
    assert ended_at < 1


def test_a_hundred_watchers_of_a_key_cost_one_look_up_a_second_and_all_are_notified() -> None:
    async def story(world: KeyLifetimesHarness) -> None:
        secret = await world.admitted()
        watching = [asyncio.create_task(world.watch(secret)) for _ in range(100)]
        await asyncio.sleep(60)
        world.revoke(secret)
        await asyncio.gather(*watching)

    world = told(story)
    assert len(world.ends) == 100
    assert len(world.looks) < 70


def test_the_end_of_one_key_does_not_notify_watchers_of_another() -> None:
    async def story(world: KeyLifetimesHarness) -> None:
        first, second = await world.admitted(), await world.admitted()
        watching = [asyncio.create_task(world.watch(one, 30)) for one in (first, second)]
        await asyncio.sleep(10)
        world.revoke(first)
        await asyncio.gather(*watching)

    assert len(told(story).ends) == 1


def test_a_key_that_was_just_read_is_not_read_again_because_somebody_watches_it() -> None:
    async def story(world: KeyLifetimesHarness) -> None:
        await world.watch(await world.admitted(), 0.5)

    assert len(told(story).looks) == 1


def test_nothing_is_read_without_watchers() -> None:
    async def story(world: KeyLifetimesHarness) -> None:
        await world.watch(await world.admitted(), 10)
        await asyncio.sleep(5)
        before = len(world.looks)
        await asyncio.sleep(HOUR)
        assert len(world.looks) == before

    told(story)


def test_keys_that_have_ended_leave_no_wake_ups_behind() -> None:
    async def story(world: KeyLifetimesHarness) -> None:
        watching = asyncio.create_task(world.watch(await world.admitted(), 200))
        for _ in range(100):
            await world.watch(await world.admitted(until=world.loop.time() + 0.5))
        world.times_read = 0
        await asyncio.sleep(60)
        assert world.times_read < 60 * 10
        await watching

    told(story)


def test_after_the_stop_no_key_is_read_any_more_although_somebody_still_watches_it() -> None:
    async def story(world: KeyLifetimesHarness) -> None:
        watching = asyncio.create_task(world.watch(await world.admitted(), 100))
        await asyncio.sleep(10)
        await world.cache.stop()
        before = len(world.looks)
        await watching
        assert len(world.looks) == before

    told(story)
