"""Which merchants have switched the pages of their checkouts off, with a fake clock and a reader that is counted."""

import asyncio
from typing import Any

import pytest

from paidonce.errors import DatabaseUnavailable
from paidonce.merchants.model import Tenant
from paidonce.profiles import page_switch as page_switch_module
from paidonce.profiles.model import Profile
from paidonce.profiles.page_switch import PageSwitch

OFF = Tenant("off", "test")
ON = Tenant("on", "test")
AGE_SECONDS = 5.0


class Harness:
    def __init__(self, *off: Tenant) -> None:
        self.off = list(off)
        self.reads = 0
        self.looked_up: list[Tenant] = []
        self.is_down = False
        self.has_begun = asyncio.Event()
        self.now = 1000.0
        reader: Any = self
        self.switch = PageSwitch(reader, self.find, monotonic=lambda: self.now, age_seconds=AGE_SECONDS)

    async def submit(self, _action: object, limit: int) -> list[Tenant]:
        self.reads += 1
        found = self.off[:limit]
        self.has_begun.set()
        await asyncio.sleep(0)
        if self.is_down:
            raise DatabaseUnavailable
        return found

    async def find(self, tenant: Tenant) -> Profile:
        self.looked_up.append(tenant)
        return Profile(merchant_id=tenant.merchant_id, mode=tenant.mode, checkout_page=tenant not in self.off)


async def test_it_is_off_for_a_merchant_in_one_mode() -> None:
    on = Harness(OFF)
    tenants = [OFF, ON, Tenant("off", "live")]
    assert [await on.switch.is_on(tenant) for tenant in tenants] == [False, True, True]
    assert (on.reads, on.looked_up) == (1, [])


async def test_where_nobody_has_switched_it_off_nobody_waits_for_five_seconds() -> None:
    on = Harness()
    known = [on.switch.all_are_on, await on.switch.is_on(ON)]
    for seconds in (AGE_SECONDS - 0.01, 0.01):
        on.now += seconds
        known.append(on.switch.all_are_on)
    assert known == [False, True, True, False]


async def test_a_change_of_another_process_is_seen_after_five_seconds_and_one_of_this_process_at_once() -> None:
    on = Harness()
    assert await on.switch.is_on(OFF)
    on.off = [OFF]
    on.now += AGE_SECONDS - 0.01
    assert await on.switch.is_on(OFF)
    on.now += 0.01
    assert not await on.switch.is_on(OFF)
    on.off = []
    on.switch.invalidate()
    on.now += 0.01
    assert await on.switch.is_on(OFF)


async def test_a_read_that_began_before_a_change_is_not_kept() -> None:
    on = Harness()
    early = asyncio.create_task(on.switch.is_on(OFF))
    await on.has_begun.wait()
    on.off = [OFF]
    on.switch.invalidate()
    await early
    on.now += 0.01
    assert not await on.switch.is_on(OFF)


async def test_requests_at_the_same_time_share_one_read() -> None:
    on = Harness(OFF)
    assert await asyncio.gather(*(on.switch.is_on(OFF) for _ in range(100))) == [False] * 100
    assert on.reads == 1


async def test_while_the_database_is_gone_the_last_answer_holds() -> None:
    on = Harness(OFF)
    assert not await on.switch.is_on(OFF)
    on.is_down = True
    on.now += AGE_SECONDS
    assert [await on.switch.is_on(OFF), await on.switch.is_on(ON)] == [False, True]


async def test_where_many_have_switched_it_off_each_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_switch_module, "KEPT_MAX", 1)
    on = Harness(OFF, Tenant("another", "live"))
    assert [await on.switch.is_on(OFF), await on.switch.is_on(ON)] == [False, True]
    assert on.looked_up == [OFF, ON]
    assert not on.switch.all_are_on
