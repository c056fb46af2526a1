"""The plan of a benchmark session."""

from pathlib import Path
from typing import Final

import msgspec

CONNECTIONS: Final = 64
MERCHANTS: Final = 5  # Each has its own API key where keys are used, and its own event numbers.
GET_IDS: Final = 2000  # More than the routing cache of a framework holds (1024), so that reads are measured fairly.
PROVIDER_LATENCY_SECONDS: Final = 1.0  # As in the peer, where it is fixed.
SHARES: Final = (0.25, 0.5, 0.75)  # Shares of the maximum throughput.
HALF: Final = 0.5  # The share for which latency is guaranteed.
ROWS_SMALL: Final = 10_000


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How long to measure: ``runs`` of ``seconds`` each, after a warm-up. ``rows`` is the size of the large tables."""

    seconds: float
    runs: int
    settle_seconds: float
    latency_seconds: float
    samples: int
    starts: int
    rows: int
    soak_checkouts: int
    soak_seconds: float

    @property
    def warm_up_seconds(self) -> float:
        """The warm-up of each workload and subject, before measuring."""
        return min(2, self.seconds)


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where things are: ``folder`` goes when the session ends, ``kept`` holds filled databases for the next one.

    ``server_url`` is a PostgreSQL where databases may be made; empty if there is none.
    """

    folder: Path
    kept: Path | None = None
    server_url: str = ""
