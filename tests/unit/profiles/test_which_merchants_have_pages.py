"""Which merchants have switched the pages of their checkouts off, with a fake clock and a reader that is counted."""

import asyncio
from typing import Any

import pytest

from paidonce.errors import DatabaseUnavailable
from paidonce.merchants.model import Tenant
from paidonce.profiles import cache as cache_module
from paidonce.profiles.actions import load_profiles
from paidonce.profiles.cache import AGE_SECONDS_MAX as AGE_SECONDS, ProfileCache
from paidonce.profiles.model import Profile

OFF = Tenant("off", "test")
ON = Tenant("on", "test")


class Harness:
    def __init__(self, *off: Tenant) -> None:
        self.off = list(off)
        self.reads = 0
        self.looked_up: list[Tenant] = []
        self.is_down = False
        self.has_begun = asyncio.Event()
        self.now = 1000.0
        reader: Any = self
        self.cache = ProfileCache(reader, monotonic=lambda: self.now)

    async def submit(self, action: object, wanted: Any) -> Any:  # noqa: ANN401 - as the batcher's
        if action is load_profiles:
            self.looked_up.append(wanted)
            return Profile(merchant_id=wanted.merchant_id, mode=wanted.mode, checkout_page=wanted not in self.off)
        self.reads += 1
        found = self.off[:wanted]
        self.has_begun.set()
        await asyncio.sleep(0)
        if self.is_down:
            raise DatabaseUnavailable
        return found


async def test_it_is_off_for_a_merchant_in_one_mode() -> None:
    on = Harness(OFF)
    tenants = [OFF, ON, Tenant("off", "live")]
    assert [await on.cache.has_page(tenant) for tenant in tenants] == [False, True, True]
    assert (on.reads, on.looked_up) == (1, [])


async def test_where_nobody_has_switched_it_off_nobody_waits_for_five_seconds() -> None:
    on = Harness()
    known = [on.cache.all_have_pages, await on.cache.has_page(ON)]
    for seconds in (AGE_SECONDS - 0.01, 0.01):
        on.now += seconds
        known.append(on.cache.all_have_pages)
    assert known == [False, True, True, False]


async def test_a_change_of_another_process_is_seen_after_five_seconds_and_one_of_this_process_at_once() -> None:
    on = Harness()
    assert await on.cache.has_page(OFF)
    on.off = [OFF]
    on.now += AGE_SECONDS - 0.01
    assert await on.cache.has_page(OFF)
    on.now += 0.01
    assert not await on.cache.has_page(OFF)
    on.off = []
    on.cache.invalidate()
    on.now += 0.01
    assert await on.cache.has_page(OFF)


async def test_a_read_that_began_before_a_change_is_not_kept() -> None:
    on = Harness()
    early = asyncio.create_task(on.cache.has_page(OFF))
    await on.has_begun.wait()
    on.off = [OFF]
    on.cache.invalidate()
    await early
    on.now += 0.01
    assert not await on.cache.has_page(OFF)


async def test_requests_at_the_same_time_share_one_read() -> None:
    on = Harness(OFF)
    assert await asyncio.gather(*(on.cache.has_page(OFF) for _ in range(100))) == [False] * 100
    assert on.reads == 1


async def test_while_the_database_is_gone_the_last_answer_holds() -> None:
    on = Harness(OFF)
    assert not await on.cache.has_page(OFF)
    on.is_down = True
    on.now += AGE_SECONDS
    assert [await on.cache.has_page(OFF), await on.cache.has_page(ON)] == [False, True]


async def test_where_many_have_switched_it_off_each_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "WITHOUT_PAGE_MAX", 1)
    on = Harness(OFF, Tenant("another", "live"))
    assert [await on.cache.has_page(OFF), await on.cache.has_page(ON)] == [False, True]
    assert on.looked_up == [OFF, ON]
    assert not on.cache.all_have_pages
