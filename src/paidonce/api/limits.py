"""How much one caller may ask for: requests a second, for each key and each address, and a key's share at once.

Buckets are GCRA's: one number each, the instant at which it is full again. A flood is refused, or waits behind itself,
before it reaches the queue that all merchants share. Each refusal is held back a little, so that asking again at once
costs the flood its own time and not ours. docs/decisions/0016 says what was measured.
"""

import asyncio
import ipaddress
import math
import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from paidonce.errors import RateLimited
from paidonce.ids import Chance, system_chance
from paidonce.merchants.model import Caller
from paidonce.settings import Settings
from paidonce.web.reply import Answer
from paidonce.web.request import Request

BUCKETS_MAX: Final = 50_000  # About 10 MB.
SHARED_BUCKETS: Final = 256  # For those who come when all others are taken.
SWEEP_SECONDS: Final = 1
REFUSAL_SECONDS: Final = 0.5  # How long a refusal is held back, at the least; twice that at the most.
WAITING_MAX: Final = 1000  # Of one key; more are refused.
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


class Turns:
    """Requests under way, by key. Whoever is alone may have any number; as soon as another key asks too, each has its
    share, and what is more waits for its turn behind its own: a request finds no more ahead of it than others' shares.
    """

    def __init__(self, share: int, stopwatch: Stopwatch) -> None:
        self._share = share
        self._stopwatch = stopwatch
        self._under_way: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._recent: set[str] = set()
        self._before: set[str] = set()
        self._next_second = 0

    def __len__(self) -> int:
        return sum(self._under_way.values()) + sum(map(len, self._waiting.values()))

    async def enter(self, name: str) -> None:
        """Begin, or wait for a turn; raises RateLimited where too many wait, or it took too long."""
        now = self._stopwatch()
        if now >= self._next_second:
            self._next_second = now + SECOND
            self._before, self._recent = self._recent, set()
        self._recent.add(name)
        count = self._under_way.get(name, 0)
        if count < self._share or self._is_alone():
            self._under_way[name] = count + 1
            return
        waiting = self._waiting.setdefault(name, deque())
        if len(waiting) >= WAITING_MAX:
            raise RateLimited(1.0, f"{len(waiting)} requests with this key are waiting already; nothing was done.")
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(name)
            raise
        if self._stopwatch() - now > WAIT_SECONDS_MAX * SECOND:
            self.leave(name)
            raise RateLimited(1.0, "This request waited too long behind others with its key; nothing was done.")

    def leave(self, name: str) -> None:
        """End one request, and let those begin whose turn it is."""
        count = self._under_way[name] - 1
        waiting = self._waiting.get(name)
        while waiting and (count < self._share or self._is_alone()):
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                count += 1
        if waiting is not None and not waiting:
            del self._waiting[name]
        if count:
            self._under_way[name] = count
        else:
            del self._under_way[name]

    def _is_alone(self) -> bool:
        return len(self._recent) <= 1 and self._before <= self._recent


class Visit:
    """One request, as the limits see it: what it used of which quota, and whether it counts among its key's."""

    __slots__ = ("_key_id", "_turns", "headers")

    def __init__(self, turns: Turns | None) -> None:
        self._turns = turns
        self._key_id: str | None = None
        self.headers: list[bytes] = []
        """What the answer is to tell; several policies have a header each, which is a list all the same."""

    def note(self, buckets: Buckets, item: bytes) -> None:
        """Keep what the answer is to tell of a policy."""
        self.headers.append(b"ratelimit-policy: %b\r\nratelimit: %b\r\n" % (buckets.described, item))

    async def enter(self, key_id: str) -> None:
        """Count among the requests of a key that are under way; raises RateLimited."""
        if self._turns is not None:
            await self._turns.enter(key_id)
            self._key_id = key_id

    def leave(self) -> None:
        """Count no longer: the request has ended, or from here on it only waits for something to happen."""
        if self._turns is not None and self._key_id is not None:
            self._turns.leave(self._key_id)
            self._key_id = None


class Limits(msgspec.Struct):
    """What every request is held against. A limit that is off costs nothing."""

    keys: Buckets | None
    addresses: Buckets | None
    turns: Turns | None
    chance: Chance = system_chance

    async def admit(self, request: Request) -> None:
        """Count a request for its caller's key; call it once it is known whose it is. Raises RateLimited."""
        caller = request.caller
        assert isinstance(caller, Caller), "it is known whose the request is"
        if caller.key_id is None:
            return
        visit = _visit_of(request)
        if self.keys is not None:
            wait, item = self.keys.take(caller.key_id)
            visit.note(self.keys, item)
            if wait:
                raise RateLimited(wait, "More requests with this key than are allowed; nothing was done.")
        await visit.enter(caller.key_id)

    def enter(self, request: Request) -> None:
        """Hold a request against its address; raises RateLimited."""
        visit = request.visit = Visit(self.turns)
        if self.addresses is not None:
            wait, item = self.addresses.take(address_of(request.client))
            visit.note(self.addresses, item)
            if wait:
                raise RateLimited(wait, "More requests from this address than are allowed; nothing was done.")

    async def before_answer(self, request: Request, answer: Answer) -> None:
        """Tell what is left, and hold refusals back."""
        if answer.status == UNAUTHORIZED and self.addresses is not None:
            self.addresses.charge(address_of(request.client), FAILURE_COST - 1)
        elif answer.status == TOO_MANY:
            # Not all at once: those who were refused together must not come back together.
            await asyncio.sleep(REFUSAL_SECONDS * (1 + self.chance()))
        answer.headers += _visit_of(request).headers

    def leave(self, request: Request) -> None:
        """Count a request among its key's no longer."""
        _visit_of(request).leave()


def _visit_of(request: Request) -> Visit:
    assert isinstance(request.visit, Visit), "a request enters before anything else"
    return request.visit


def limits_of(settings: Settings, stopwatch: Stopwatch = time.monotonic_ns) -> Limits | None:
    """Make the limits that the settings ask for; None where they ask for none."""
    keys = Policy("key", settings.rate_limit_per_second, settings.rate_limit_burst)
    addresses = Policy("address", settings.address_limit_per_second, settings.address_limit_burst)
    by_key = settings.auth != "off" and (keys.per_second or settings.requests_at_once_share)
    if not (by_key or addresses.per_second):
        return None
    return Limits(
        Buckets(keys, stopwatch) if keys.per_second else None,
        Buckets(addresses, stopwatch) if addresses.per_second else None,
        Turns(settings.requests_at_once_share, stopwatch) if settings.requests_at_once_share else None,
    )


def stop_counting(request: Request) -> None:
    """Let a request that only waits take no place among its key's; call it before a long wait or a stream."""
    if isinstance(request.visit, Visit):
        request.visit.leave()


@lru_cache(maxsize=4096)
def address_of(host: str) -> str:
    """Name who is at the other end; IPv6 by its network of 64 bits, of which one customer has a whole one."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:64]
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
