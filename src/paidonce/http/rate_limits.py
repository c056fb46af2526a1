"""How much one caller may ask for: requests a second, for each key and each address, and a key's share at once.

Buckets are GCRA's: one number each, the instant at which it is full again. A flood is refused, or waits behind itself,
before it reaches the queue that all merchants share. Each refusal is held back a little, so that asking again at once
costs the flood its own time and not ours. docs/decisions/0016 says what was measured.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, NamedTuple

import msgspec

from paidonce.concurrency import ConcurrencyPerName, FairConcurrencyLimiter, QueueFull, SharedBudget
from paidonce.errors import Overloaded, RateLimited
from paidonce.http.addresses import address_of
from paidonce.http.context import Header, RequestContext
from paidonce.ids import Chance, system_chance
from paidonce.settings import Settings

BODY_BYTES_MAX: Final = 64 * 1024  # Of a request.
LARGE_BYTES_MIN: Final = 4096  # Of an answer whose bytes are counted.
BUCKETS_MAX: Final = 50_000  # About 10 MB.
SHARED_BUCKETS: Final = 256  # For those who come when all others are taken.
SWEEP_SECONDS: Final = 1
REFUSAL_SECONDS: Final = 0.5  # How long a refusal is held back, at the least; twice that at the most.
WAITING_MAX: Final = 1000  # Of one key; more are refused.
LISTS_AT_ONCE: Final = 4
LIST_BYTES_MAX: Final = 100 * BODY_BYTES_MAX  # A page has a hundred, and each came in one body.
UNSENT_SECONDS: Final = 5.0  # Until who left too much unread asks again.
WAIT_SECONDS_MAX: Final = 5  # As long as the database's queue lets a request wait.
FAILURE_COST: Final = 10  # Requests that one failed authentication counts for.
UNAUTHORIZED: Final = 401
TOO_MANY: Final = 429

SECOND: Final = 1_000_000_000

Stopwatch = Callable[[], int]
"""Tells nanoseconds that never go back."""


class Policy(NamedTuple):
    """How fast a bucket fills, and how much it holds."""

    name: str
    per_second: float
    burst: int

    def described(self) -> bytes:
        """An item of ``RateLimit-Policy``, as draft-ietf-httpapi-ratelimit-headers-11 has it."""
        return b'"%b";q=%d;w=%d' % (self.name.encode(), self.burst, max(1, math.ceil(self.burst / self.per_second)))


class Buckets:
    """Token buckets by name. A bucket that is full is not kept; one that is not is never dropped to make room."""

    def __init__(self, policy: Policy, stopwatch: Stopwatch) -> None:
        self.described = policy.described()
        self._item = b'"%b";r=%%d;t=%%d' % policy.name.encode()
        self._stopwatch = stopwatch
        self._interval = max(1, round(SECOND / policy.per_second))
        self._slack = policy.burst * self._interval
        self._full_at: dict[str, int] = {}
        self._next_sweep = 0

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, name: str) -> tuple[float, bytes]:
        """Take one; returns how many seconds to wait where there is none, else 0, and an item of ``RateLimit``."""
        now = self._stopwatch()
        full_at = self._full_at.get(name, 0)
        if full_at <= now:
            name, full_at = self._place(name, now)
        used = full_at - now + self._interval  # In time: until the bucket is full again.
        if used > self._slack:
            wait = used - self._slack
            return wait / SECOND, self._item % (0, wait // SECOND + 1)
        self._full_at[name] = now + used
        return 0.0, self._item % ((self._slack - used) // self._interval, used // SECOND + 1)

    def charge(self, name: str, cost: int) -> None:
        """Take more afterwards: as much as there is, at the most."""
        now = self._stopwatch()
        name, full_at = self._place(name, now)
        self._full_at[name] = min(full_at + cost * self._interval, now + self._slack)

    def _place(self, name: str, now: int) -> tuple[str, int]:
        """Find the bucket for a name, and when it is full; a newcomer who finds no room shares one by lot."""
        if name not in self._full_at and len(self._full_at) >= BUCKETS_MAX:
            if now >= self._next_sweep:
                self._next_sweep = now + SWEEP_SECONDS * SECOND
                self._full_at = {kept: full_at for kept, full_at in self._full_at.items() if full_at > now}
            if len(self._full_at) >= BUCKETS_MAX:
                name = f"shared {hash(name) % SHARED_BUCKETS}"  # Seeded by the process: nobody can choose with whom.
        return name, max(self._full_at.get(name, 0), now)


class Visit:
    """One request, as the limits see it: under which ``name`` it counts, and all that it has to give back."""

    __slots__ = ("_counted", "_place", "_unsent", "headers", "is_admitted", "limits", "name")

    def __init__(self, limits: "Limits", address: str) -> None:
        self.limits = limits
        self._place: FairConcurrencyLimiter | None = None
        self._unsent = 0
        self._counted: list[ConcurrencyPerName] = []
        self.name = address
        """Its address, and from when it is known whose it is, its key."""
        self.is_admitted = False
        self.headers: list[Header] = []
        """What the answer is to tell; several policies have a header each, which is a list all the same."""

    def note(self, buckets: Buckets, item: bytes) -> None:
        """Keep what the answer is to tell of a policy."""
        self.headers += [(b"ratelimit-policy", buckets.described), (b"ratelimit", item)]

    async def take_place(self, limiter: FairConcurrencyLimiter) -> None:
        """Take a place, in turn with others; raises RateLimited where too many wait, or it took too long."""
        began = self.limits.stopwatch()
        try:
            await limiter.acquire(self.name)
        except QueueFull:
            raise RateLimited(
                1.0, "Too many requests with this API key are waiting. The request had no effect."
            ) from None
        self._place = limiter
        if self.limits.stopwatch() - began > WAIT_SECONDS_MAX * SECOND:
            self.give_place_back()
            raise RateLimited(1.0, "The request waited too long for others with its API key. It had no effect.")

    def give_place_back(self) -> None:
        """Take no place any more: the work is done, or from here on it only waits for something to happen."""
        if self._place is not None:
            self._place.release()
            self._place = None

    def refuse_slow_reader(self) -> None:
        """Refuse who leaves too much of its answers unread; raises RateLimited, or Overloaded where others do."""
        unsent = self.limits.unsent
        if unsent.has_room(self.name):
            return
        if unsent.held(self.name):
            raise RateLimited(UNSENT_SECONDS, "Too many earlier responses are unread. The request had no effect.")
        raise Overloaded

    @contextmanager
    def sending(self, size: int) -> Iterator[None]:
        """Count so many bytes as waiting to be sent."""
        self.limits.unsent.charge(self.name, size)
        try:
            yield
        finally:
            self.limits.unsent.give_back(self.name, size)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Have a place among those who read much, in turn with others; raises RateLimited or Overloaded."""
        self.refuse_slow_reader()
        await self.take_place(self.limits.lists)
        try:
            yield
        finally:
            self.give_place_back()

    def keep_unsent(self, size: int) -> None:
        """Count so many bytes as waiting to be sent until ``leave``."""
        self.limits.unsent.charge(self.name, size)
        self._unsent += size

    def let_go_of_unsent(self) -> None:
        """Count nothing any more as waiting to be sent."""
        if self._unsent:
            self.limits.unsent.give_back(self.name, self._unsent)
            self._unsent = 0

    def count(self, counted: ConcurrencyPerName) -> bool:
        """Count among those of its name until ``leave``; False where there are as many as may be."""
        is_counted = counted.enter(self.name)
        if is_counted:
            self._counted.append(counted)
        return is_counted

    def leave(self) -> None:
        """Give everything back: the answer is sent, or its client has gone."""
        self.give_place_back()
        self.let_go_of_unsent()
        while self._counted:
            self._counted.pop().leave(self.name)


class Limits(msgspec.Struct):
    """What every request is held against. ``requests``, ``streams`` and ``waits`` are those of keys: where there are
    no keys, nothing is counted by them.
    """

    keys: Buckets | None
    addresses: Buckets | None
    requests: FairConcurrencyLimiter | None
    lists: FairConcurrencyLimiter
    unsent: SharedBudget
    streams: ConcurrencyPerName
    waits: ConcurrencyPerName
    stopwatch: Stopwatch
    chance: Chance = system_chance

    async def admit(self, context: RequestContext, *, is_list: bool) -> None:
        """Count a request for its caller; call it once it is known whose it is. Raises RateLimited or Overloaded."""
        caller = context.caller
        visit = _visit_of(context)
        visit.is_admitted = True
        if caller.key_id is not None:
            visit.name = caller.key_id
            if self.keys is not None:
                wait, item = self.keys.take(caller.key_id)
                visit.note(self.keys, item)
                if wait:
                    raise RateLimited(wait, "The rate limit of this API key was exceeded. The request had no effect.")
        visit.refuse_slow_reader()
        if is_list:
            await visit.take_place(self.lists)
            visit.refuse_slow_reader()  # While it waited, others of its name may have been left unread.
            visit.keep_unsent(LIST_BYTES_MAX)  # Until it is known how large it is.
        elif self.requests is not None and caller.key_id is not None:
            await visit.take_place(self.requests)

    def enter(self, context: RequestContext) -> None:
        """Hold a request against its address; raises RateLimited."""
        address = address_of(context.address)
        visit = context.visit = Visit(self, address)
        if self.addresses is not None:
            wait, item = self.addresses.take(address)
            visit.note(self.addresses, item)
            if wait:
                raise RateLimited(wait, "The rate limit of this address was exceeded. The request had no effect.")

    async def before_answer(self, context: RequestContext, status: int) -> list[Header]:
        """Hold refusals back; returns the headers that tell what is left. The work is done: from here on bytes are
        counted, not places.
        """
        visit = _visit_of(context)
        visit.give_place_back()
        visit.let_go_of_unsent()
        if status == UNAUTHORIZED and self.addresses is not None:
            self.addresses.charge(address_of(context.address), FAILURE_COST - 1)
        elif status == TOO_MANY:
            # Not all at once: those who were refused together must not come back together.
            await asyncio.sleep(REFUSAL_SECONDS * (1 + self.chance()))
        return visit.headers

    def count_answer(self, context: RequestContext, size: int) -> None:
        """Count the bytes of an answer that is whole, until it is sent."""
        visit = _visit_of(context)
        # What is shown to everybody is made once, and takes no room of its own.
        if size >= LARGE_BYTES_MIN and visit.is_admitted:
            visit.keep_unsent(size)

    def leave(self, context: RequestContext) -> None:
        """Give back what a request took."""
        _visit_of(context).leave()


def _visit_of(context: RequestContext) -> Visit:
    assert context.visit is not None, "a request enters before anything else"
    return context.visit


def limits_of(settings: Settings, stopwatch: Stopwatch = time.monotonic_ns) -> Limits:
    """Make the limits that the settings ask for."""
    keys = Policy("key", settings.rate_limit_per_second, settings.rate_limit_burst)
    addresses = Policy("address", settings.address_limit_per_second, settings.address_limit_burst)
    has_keys = settings.auth != "off"
    places = settings.requests_at_once if has_keys else 0
    return Limits(
        Buckets(keys, stopwatch) if has_keys and keys.per_second else None,
        Buckets(addresses, stopwatch) if addresses.per_second else None,
        FairConcurrencyLimiter(places, waiting_max=WAITING_MAX) if places else None,
        FairConcurrencyLimiter(LISTS_AT_ONCE, waiting_max=WAITING_MAX),
        SharedBudget(settings.unsent_megabytes * 1_000_000),
        ConcurrencyPerName(settings.streams_per_key),
        ConcurrencyPerName(settings.waits_per_key),
        stopwatch,
    )


def count_stream(context: RequestContext) -> Visit:
    """Count a stream among those of its key, instead of a request; raises RateLimited where there are too many."""
    visit = _visit_of(context)
    visit.give_place_back()
    if _has_key(context) and not visit.count(visit.limits.streams):
        raise RateLimited(1.0, "This API key has the maximum number of open event streams.")
    return visit


def count_wait(context: RequestContext) -> bool:
    """Count a wait among those of its key, instead of a request; False where there are too many: answer at once."""
    visit = _visit_of(context)
    visit.give_place_back()
    return not _has_key(context) or visit.count(visit.limits.waits)


def _has_key(context: RequestContext) -> bool:
    return context.caller.key_id is not None
