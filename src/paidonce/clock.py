"""Time. An instant is Unix time in milliseconds, in the code and in both databases. In JSON it is RFC 3339."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, TypeAlias

Instant: TypeAlias = int
"""Unix time in milliseconds."""

Clock: TypeAlias = Callable[[], Instant]
"""Returns the current time. It is passed in, so that a test can control it."""

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def system_clock() -> Instant:
    """Return the current time of the machine's clock."""
    return time.time_ns() // 1_000_000


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def format_instant(instant: Instant) -> str:
    """Format an instant as RFC 3339 in UTC with milliseconds: ``2026-01-02T03:04:05.678Z``."""
    seconds, milliseconds = divmod(instant, 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


def parse_instant(text: str) -> Instant:
    """Parse an RFC 3339 time with an offset; raises ValueError for anything else."""
    moment = datetime.fromisoformat(text.upper())
    if moment.tzinfo is None or "T" not in text.upper():
        message = "a time needs a date, a time of day and an offset, as in 2026-01-02T03:04:05Z"
        raise ValueError(message)
    return (moment - _EPOCH) // _MILLISECOND  # Integer arithmetic: a float would lose some milliseconds.
