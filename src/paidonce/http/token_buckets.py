"""Token buckets (GCRA), which store one number each: the time at which the bucket is full again."""

import math
from collections.abc import Callable
from typing import Final, NamedTuple

BUCKETS_MAX: Final = 50_000  # About 10 MB.
SHARED_BUCKETS: Final = 256  # For those who come when all others are taken.
SWEEP_SECONDS: Final = 1

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


class TokenBuckets:
    """Token buckets by name. A full bucket is not stored; one that is not full is never dropped to make room."""

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
        """Take a token; returns the seconds to wait where there is none, else 0, and an item of ``RateLimit``."""
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
        """Take more tokens afterwards, at most as many as there are."""
        now = self._stopwatch()
        name, full_at = self._place(name, now)
        self._full_at[name] = min(full_at + cost * self._interval, now + self._slack)

    def _place(self, name: str, now: int) -> tuple[str, int]:
        """Find the bucket for a name, and when it is full. Where there is no room, a new name shares one by chance."""
        if name not in self._full_at and len(self._full_at) >= BUCKETS_MAX:
            if now >= self._next_sweep:
                self._next_sweep = now + SWEEP_SECONDS * SECOND
                self._full_at = {kept: full_at for kept, full_at in self._full_at.items() if full_at > now}
            if len(self._full_at) >= BUCKETS_MAX:
                name = f"shared {hash(name) % SHARED_BUCKETS}"  # Seeded by the process: no choice.
        return name, max(self._full_at.get(name, 0), now)
