"""Limits for each client: the rate of requests, by API key and by address, and a fair share of concurrency.

A client that exceeds its rate (``token_buckets.py``) is refused, or waits behind its own requests
(``concurrency.py``), before it reaches the queue that all merchants share. Each refusal is delayed a little, so that an
immediate retry costs the client time. docs/decisions/0016 has the measurements.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import msgspec

from paidonce.concurrency import ConcurrencyPerName, FairConcurrencyLimiter, QueueFull, SharedBudget
from paidonce.errors import Overloaded, RateLimited
from paidonce.http.client_addresses import client_address
from paidonce.http.context import Header, RequestContext
from paidonce.http.token_buckets import SECOND, Policy, Stopwatch, TokenBuckets
from paidonce.ids import Chance, system_chance
from paidonce.settings import Settings

BODY_BYTES_MAX: Final = 64 * 1024  # Of a request.
LARGE_BYTES_MIN: Final = 4096  # Of an answer whose bytes are counted.
REFUSAL_SECONDS: Final = 0.5  # How long a refusal is held back, at the least; twice that at the most.
WAITING_MAX: Final = 1000  # Of one key; more are refused.
LISTS_AT_ONCE: Final = 4
LIST_BYTES_MAX: Final = 100 * BODY_BYTES_MAX  # A page has a hundred, and each came in one body.
UNSENT_SECONDS: Final = 5.0  # Until who left too much unread asks again.
WAIT_SECONDS_MAX: Final = 5  # As long as the database's queue lets a request wait.
FAILURE_COST: Final = 10  # Requests that one failed authentication counts for.
UNAUTHORIZED: Final = 401
TOO_MANY: Final = 429


class RateLimitState:
    """The limits of one request: the ``name`` under which it is counted, and everything that it must release."""

    __slots__ = ("_counted", "_place", "_unsent", "headers", "is_admitted", "limits", "name")

    def __init__(self, limits: "RateLimiter", address: str) -> None:
        self.limits = limits
        self._place: FairConcurrencyLimiter | None = None
        self._unsent = 0
        self._counted: list[ConcurrencyPerName] = []
        self.name = address
        """The client's address; after authentication, the id of its API key."""
        self.is_admitted = False
        self.headers: list[Header] = []
        """The RateLimit headers of the response, one of each kind for each policy."""

    def note(self, buckets: TokenBuckets, item: bytes) -> None:
        """Add the headers of a policy to the response."""
        self.headers += [(b"ratelimit-policy", buckets.described), (b"ratelimit", item)]

    async def take_place(self, limiter: FairConcurrencyLimiter) -> None:
        """Wait for a place; raises RateLimited where too many requests wait, or it took too long."""
        began = self.limits.stopwatch()
        try:
            await limiter.acquire(self.name)
        except QueueFull:
            raise RateLimited(
                1.0, "Too many requests with this API key are waiting. The request had no effect."
            ) from None
        self._place = limiter
        if self.limits.stopwatch() - began > WAIT_SECONDS_MAX * SECOND:
            self.release_place()
            raise RateLimited(1.0, "The request waited too long for others with its API key. It had no effect.")

    def release_place(self) -> None:
        """Release the place: the work is done, or the request only waits from here on."""
        if self._place is not None:
            self._place.release()
            self._place = None

    def refuse_slow_reader(self) -> None:
        """Raise RateLimited where this client leaves too many responses unread, or Overloaded where others do."""
        unsent = self.limits.unsent
        if unsent.has_room(self.name):
            return
        if unsent.held(self.name):
            raise RateLimited(UNSENT_SECONDS, "Too many earlier responses are unread. The request had no effect.")
        raise Overloaded

    @contextmanager
    def sending(self, size: int) -> Iterator[None]:
        """Charge so many bytes as waiting to be sent, while they are."""
        self.limits.unsent.charge(self.name, size)
        try:
            yield
        finally:
            self.limits.unsent.release(self.name, size)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Hold a place among the requests that read large lists; raises RateLimited or Overloaded."""
        self.refuse_slow_reader()
        await self.take_place(self.limits.lists)
        try:
            yield
        finally:
            self.release_place()

    def charge_unsent(self, size: int) -> None:
        """Charge so many bytes as waiting to be sent until ``leave``."""
        self.limits.unsent.charge(self.name, size)
        self._unsent += size

    def release_unsent(self) -> None:
        """Release all bytes that were charged by ``charge_unsent``."""
        if self._unsent:
            self.limits.unsent.release(self.name, self._unsent)
            self._unsent = 0

    def count(self, counted: ConcurrencyPerName) -> bool:
        """Count one more of its name until ``leave``; False where the limit is reached."""
        is_counted = counted.enter(self.name)
        if is_counted:
            self._counted.append(counted)
        return is_counted

    def leave(self) -> None:
        """Release everything: the response is sent, or the client has disconnected."""
        self.release_place()
        self.release_unsent()
        while self._counted:
            self._counted.pop().leave(self.name)


class RateLimiter(msgspec.Struct):
    """Applies all limits. ``requests``, ``streams`` and ``waits`` count by API key, and nothing without keys."""

    keys: TokenBuckets | None
    addresses: TokenBuckets | None
    requests: FairConcurrencyLimiter | None
    lists: FairConcurrencyLimiter
    unsent: SharedBudget
    streams: ConcurrencyPerName
    waits: ConcurrencyPerName
    stopwatch: Stopwatch
    chance: Chance = system_chance

    async def admit(self, context: RequestContext, *, is_list: bool) -> None:
        """Count an authenticated request for its caller; raises RateLimited or Overloaded."""
        caller = context.caller
        state = _state_of(context)
        state.is_admitted = True
        if caller.key_id is not None:
            state.name = caller.key_id
            if self.keys is not None:
                wait, item = self.keys.take(caller.key_id)
                state.note(self.keys, item)
                if wait:
                    raise RateLimited(wait, "The rate limit of this API key was exceeded. The request had no effect.")
        state.refuse_slow_reader()
        if is_list:
            await state.take_place(self.lists)
            state.refuse_slow_reader()  # While it waited, other responses may have been left unread.
            state.charge_unsent(LIST_BYTES_MAX)  # Until it is known how large it is.
        elif self.requests is not None and caller.key_id is not None:
            await state.take_place(self.requests)

    def enter(self, context: RequestContext) -> None:
        """Count a request for its address; raises RateLimited."""
        address = client_address(context.address)
        state = context.rate_limit = RateLimitState(self, address)
        if self.addresses is not None:
            wait, item = self.addresses.take(address)
            state.note(self.addresses, item)
            if wait:
                raise RateLimited(wait, "The rate limit of this address was exceeded. The request had no effect.")

    async def before_response(self, context: RequestContext, status: int) -> list[Header]:
        """Delay a refusal; returns the RateLimit headers. From here on bytes are counted, and no longer concurrency."""
        state = _state_of(context)
        state.release_place()
        state.release_unsent()
        if status == UNAUTHORIZED and self.addresses is not None:
            self.addresses.charge(client_address(context.address), FAILURE_COST - 1)
        elif status == TOO_MANY:
            # With jitter: clients that were refused together must not retry together.
            await asyncio.sleep(REFUSAL_SECONDS * (1 + self.chance()))
        return state.headers

    def count_response(self, context: RequestContext, size: int) -> None:
        """Charge the bytes of a whole response until it is sent."""
        state = _state_of(context)
        # Responses of open calls are built once and shared, so they need no memory of their own.
        if size >= LARGE_BYTES_MIN and state.is_admitted:
            state.charge_unsent(size)

    def leave(self, context: RequestContext) -> None:
        """Release everything that a request holds."""
        _state_of(context).leave()


def _state_of(context: RequestContext) -> RateLimitState:
    assert context.rate_limit is not None, "a request enters before anything else"
    return context.rate_limit


def make_rate_limiter(settings: Settings, stopwatch: Stopwatch = time.monotonic_ns) -> RateLimiter:
    """Make the rate limiter from the settings."""
    keys = Policy("key", settings.rate_limit_per_second, settings.rate_limit_burst)
    addresses = Policy("address", settings.address_limit_per_second, settings.address_limit_burst)
    has_keys = settings.auth != "off"
    places = settings.requests_at_once if has_keys else 0
    return RateLimiter(
        TokenBuckets(keys, stopwatch) if has_keys and keys.per_second else None,
        TokenBuckets(addresses, stopwatch) if addresses.per_second else None,
        FairConcurrencyLimiter(places, waiting_max=WAITING_MAX) if places else None,
        FairConcurrencyLimiter(LISTS_AT_ONCE, waiting_max=WAITING_MAX),
        SharedBudget(settings.unsent_megabytes * 1_000_000),
        ConcurrencyPerName(settings.streams_per_key),
        ConcurrencyPerName(settings.waits_per_key),
        stopwatch,
    )


def count_stream(context: RequestContext) -> RateLimitState:
    """Count a stream of its API key instead of a request; raises RateLimited where there are too many."""
    state = _state_of(context)
    state.release_place()
    if _has_key(context) and not state.count(state.limits.streams):
        raise RateLimited(1.0, "This API key has the maximum number of open event streams.")
    return state


def count_page_stream(context: RequestContext) -> None:
    """Count the stream of a page of its address; raises RateLimited where that has as many as an API key may have."""
    state = _state_of(context)
    if not state.count(state.limits.streams):
        raise RateLimited(1.0, "This address has the maximum number of open event streams.")


def count_wait(context: RequestContext) -> bool:
    """Count a long poll of its API key instead of a request; False where there are too many: respond at once."""
    state = _state_of(context)
    state.release_place()
    return not _has_key(context) or state.count(state.limits.waits)


def _has_key(context: RequestContext) -> bool:
    return context.caller.key_id is not None
