"""Which merchants have switched the pages of their checkouts off.

Each response that shows a checkout asks, so the answer must not wait for a statement: the few merchants are kept in
memory, and are read again after five seconds. Where they are many, the profile of each is looked at.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from paidonce.database.batcher import Batcher
from paidonce.errors import PaidonceError
from paidonce.merchants.model import Tenant
from paidonce.profiles.actions import list_without_page
from paidonce.profiles.model import Profile

log = structlog.get_logger()

KEPT_MAX: Final = 1000


class PageSwitch:
    """Tells whether a merchant's checkouts have pages, as it was at most ``age_seconds`` ago.

    ``find`` finds a profile. ``monotonic`` returns the time in seconds.
    """

    def __init__(
        self,
        reader: Batcher,
        find: Callable[[Tenant], Awaitable[Profile]],
        *,
        monotonic: Callable[[], float],
        age_seconds: float,
    ) -> None:
        self._reader = reader
        self._find = find
        self._age_seconds = age_seconds
        self._monotonic = monotonic
        self._off: frozenset[Tenant] | None = frozenset()  # None: they are too many to keep.
        self._valid_until = float("-inf")
        self._invalidated_at = float("-inf")
        self._read: asyncio.Task[None] | None = None

    @property
    def all_are_on(self) -> bool:
        """Whether it is known, without waiting, that nobody has switched them off."""
        return not self._off and self._off is not None and self._monotonic() < self._valid_until

    async def is_on(self, tenant: Tenant) -> bool:
        """Tell whether the checkouts of a merchant, in a mode, have pages.

        Where the database cannot be asked, what was known last is the answer: nothing that was done fails for it.
        """
        if self._monotonic() >= self._valid_until:
            if self._read is None:
                self._read = asyncio.create_task(self._refresh())
                self._read.add_done_callback(self._ended)
            await asyncio.shield(self._read)
        if self._off is not None:
            return tenant not in self._off
        return (await self._find(tenant)).checkout_page

    def invalidate(self) -> None:
        """Read them again before the next answer, because this process has just changed a profile."""
        self._invalidated_at = self._monotonic()
        self._valid_until = float("-inf")
        self._read = None

    async def stop(self) -> None:
        """Stop reading."""
        if self._read is not None:
            self._read.cancel()
            await asyncio.gather(self._read, return_exceptions=True)

    def _ended(self, read: "asyncio.Task[None]") -> None:
        if self._read is read:
            self._read = None

    async def _refresh(self) -> None:
        read_at = self._monotonic()
        try:
            found = await self._reader.submit(list_without_page, KEPT_MAX + 1)
        except PaidonceError as error:
            log.warning("page_switch_not_read", cause=error.code)
            return
        self._off = frozenset(found) if len(found) <= KEPT_MAX else None
        if read_at > self._invalidated_at:
            self._valid_until = read_at + self._age_seconds
