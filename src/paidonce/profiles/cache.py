"""The profile cache: a page of a buyer, and each checkout's ``url``, need a profile, and must not wait for a statement.

Nothing is used for more than five seconds, so that a change has taken effect in every process by then. Whether a
merchant has pages is asked for each checkout, of many merchants: the few who have switched them off are one value.
"""

from collections.abc import Callable
from typing import Final

import structlog

from paidonce.database.batcher import Batcher
from paidonce.errors import PaidonceError
from paidonce.merchants.model import Tenant
from paidonce.profiles.actions import list_without_page, load_profiles
from paidonce.profiles.model import Profile
from paidonce.profiles.timed_cache import TimedCache

log = structlog.get_logger()

AGE_SECONDS_MAX: Final = 5.0  # As for API keys and for provider accounts.
PROFILES_MAX: Final = 10_000  # A few MB. The one that was read first makes room for another.
WITHOUT_PAGE_MAX: Final = 1000  # Where more have switched pages off, the profile of each is looked at.
NOBODY: Final[frozenset[Tenant]] = frozenset()


class ProfileCache:
    """The profiles that this process has read lately. ``monotonic`` returns the time in seconds."""

    def __init__(self, reader: Batcher, *, monotonic: Callable[[], float]) -> None:
        self._reader = reader
        self._profiles: TimedCache[Tenant, Profile] = TimedCache(
            lambda tenant: reader.submit(load_profiles, tenant),
            monotonic=monotonic,
            age_seconds=AGE_SECONDS_MAX,
            limit=PROFILES_MAX,
        )
        # Those without pages; None where they are too many to keep.
        self._without_page: TimedCache[None, frozenset[Tenant] | None] = TimedCache(
            self._list_without_page, monotonic=monotonic, age_seconds=AGE_SECONDS_MAX, limit=1
        )

    async def find(self, tenant: Tenant) -> Profile:
        """Return a merchant's profile in a mode; raises DatabaseUnavailable or Overloaded where it cannot be read."""
        return await self._profiles.find(tenant)

    @property
    def all_have_pages(self) -> bool:
        """Whether it is known, without waiting, that nobody has switched the pages of their checkouts off."""
        return self._without_page.is_fresh(None) and self._without_page.last(None) == NOBODY

    async def has_page(self, tenant: Tenant) -> bool:
        """Tell whether the checkouts of a merchant, in a mode, have pages.

        Where the database cannot be asked, what was known last is the answer: nothing that was done fails for it.
        """
        try:
            off = await self._without_page.find(None)
        except PaidonceError as error:
            log.warning("page_switch_not_read", cause=error.code)
            off = self._without_page.last(None) or NOBODY
        return tenant not in off if off is not None else (await self.find(tenant)).checkout_page

    def invalidate(self) -> None:
        """Read everything again before its next use, because this process has just changed a profile."""
        self._profiles.invalidate()
        self._without_page.invalidate()

    async def stop(self) -> None:
        """Stop reading."""
        await self._profiles.stop()
        await self._without_page.stop()

    async def _list_without_page(self, _key: None) -> frozenset[Tenant] | None:
        found = await self._reader.submit(list_without_page, WITHOUT_PAGE_MAX + 1)
        return frozenset(found) if len(found) <= WITHOUT_PAGE_MAX else None
