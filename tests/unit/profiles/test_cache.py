"""The profile cache with a fake clock and a reader that counts what it is asked."""

import asyncio
from typing import Any

import pytest

from paidonce.errors import DatabaseUnavailable
from paidonce.merchants.model import Tenant
from paidonce.profiles import cache as cache_module
from paidonce.profiles.cache import AGE_SECONDS_MAX, ProfileCache
from paidonce.profiles.model import Profile

SHOP = Tenant("m", "test")


class Reader:
    def __init__(self) -> None:
        self.name = "First"
        self.asked: list[Tenant] = []
        self.is_down = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def submit(self, _action: object, tenant: Tenant) -> Profile:
        self.asked.append(tenant)
        profile = Profile(merchant_id=tenant.merchant_id, mode=tenant.mode, display_name=self.name)
        await self.gate.wait()
        if self.is_down:
            raise DatabaseUnavailable
        return profile


class Harness:
    def __init__(self) -> None:
        self.reader = Reader()
        self.now = 1000.0
        reader: Any = self.reader
        self.cache = ProfileCache(reader, monotonic=lambda: self.now)

    async def name(self, tenant: Tenant = SHOP) -> str:
        return (await self.cache.find(tenant)).shown_name


async def test_a_profile_is_read_once_in_five_seconds() -> None:
    on = Harness()
    assert [await on.name(), await on.name()] == ["First", "First"]
    on.reader.name = "Second"
    on.now += AGE_SECONDS_MAX - 0.01
    assert await on.name() == "First"
    on.now += 0.01
    assert await on.name() == "Second"
    assert on.reader.asked == [SHOP, SHOP]


async def test_requests_at_the_same_time_share_one_read() -> None:
    on = Harness()
    assert await asyncio.gather(*(on.name() for _ in range(100))) == ["First"] * 100
    assert on.reader.asked == [SHOP]


async def test_the_two_modes_of_a_merchant_have_a_profile_each() -> None:
    on = Harness()
    await asyncio.gather(on.name(), on.name(Tenant("m", "live")))
    assert on.reader.asked == [SHOP, Tenant("m", "live")]


async def test_a_change_of_this_process_is_seen_at_once_even_if_a_read_was_under_way() -> None:
    on = Harness()
    on.reader.gate.clear()
    early = asyncio.create_task(on.name())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    on.reader.name = "Second"
    on.cache.invalidate()
    on.now += 0.01
    on.reader.gate.set()
    assert [await early, await on.name()] == ["First", "Second"]


async def test_a_read_that_fails_is_told_and_not_kept() -> None:
    on = Harness()
    on.reader.is_down = True
    with pytest.raises(DatabaseUnavailable):
        await on.name()
    on.reader.is_down = False
    assert await on.name() == "First"


async def test_a_client_that_leaves_takes_the_read_of_others_not_with_it() -> None:
    on = Harness()
    on.reader.gate.clear()
    one, other = (asyncio.create_task(on.name()) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    on.reader.gate.set()
    assert await other == "First"


async def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "PROFILES_MAX", 2)
    on = Harness()
    for merchant in ("a", "b", "c", "a", "c"):
        await on.name(Tenant(merchant, "test"))
    assert [one.merchant_id for one in on.reader.asked] == ["a", "b", "c", "a"]
