"""The profile cache: a page of a buyer, and each checkout's ``url``, need a profile, and must not wait for a statement.

No entry is used for more than five seconds, so that a change has taken effect in every process by then.
"""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from paidonce.database.batcher import Batcher
from paidonce.merchants.model import Tenant
from paidonce.profiles.actions import load_profiles
from paidonce.profiles.model import Profile
from paidonce.profiles.page_switch import PageSwitch

AGE_SECONDS_MAX: Final = 5.0  # As for API keys and for provider accounts.
PROFILES_MAX: Final = 10_000  # A few MB. The one that was read first makes room for another.


class _Entry(NamedTuple):
    profile: Profile
    valid_until: float


class ProfileCache:
    """The profiles that this process has read lately. ``monotonic`` returns the time in seconds."""

    def __init__(self, reader: Batcher, *, monotonic: Callable[[], float]) -> None:
        self._reader = reader
        self._monotonic = monotonic
        self._entries: dict[Tenant, _Entry] = {}
        self._reads: dict[Tenant, asyncio.Task[Profile]] = {}
        self._invalidated_at = float("-inf")
        self.page_switch = PageSwitch(reader, self.find, monotonic=monotonic, age_seconds=AGE_SECONDS_MAX)

    async def find(self, tenant: Tenant) -> Profile:
        """Return a merchant's profile in a mode; raises DatabaseUnavailable or Overloaded where it cannot be read."""
        entry = self._entries.get(tenant)
        if entry is not None and self._monotonic() < entry.valid_until:
            return entry.profile
        read = self._reads.get(tenant)
        if read is None:
            read = self._reads[tenant] = asyncio.create_task(self._read(tenant))
            read.add_done_callback(lambda ended: self._forget(tenant, ended))
        return await asyncio.shield(read)  # Other requests may wait for the same profile.

    def invalidate(self) -> None:
        """Read every profile again before its next use, because this process has just changed one."""
        self._invalidated_at = self._monotonic()
        self._entries.clear()
        self._reads.clear()
        self.page_switch.invalidate()

    async def stop(self) -> None:
        """Stop reading."""
        reads = list(self._reads.values())
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
        await self.page_switch.stop()

    def _forget(self, tenant: Tenant, ended: "asyncio.Task[Profile]") -> None:
        if self._reads.get(tenant) is ended:
            del self._reads[tenant]
        if not ended.cancelled():
            ended.exception()  # Whoever waits is told; it may be that nobody does any more.

    async def _read(self, tenant: Tenant) -> Profile:
        read_at = self._monotonic()
        profile = await self._reader.submit(load_profiles, tenant)
        if read_at > self._invalidated_at:
            self._entries.pop(tenant, None)
            if len(self._entries) >= PROFILES_MAX:
                del self._entries[next(iter(self._entries))]
            self._entries[tenant] = _Entry(profile, read_at + AGE_SECONDS_MAX)
        return profile
