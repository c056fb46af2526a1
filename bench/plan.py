"""What a session of the benchmark does, and how long."""

from pathlib import Path
from typing import Final

import msgspec

CONNECTIONS: Final = 64
MERCHANTS: Final = 5  # Each has a key of its own where keys are asked for, and its events are numbered apart.
GET_IDS: Final = 2000  # More than a framework's routing cache holds (1024), so that reads are not flattered.
PROVIDER_LATENCY_SECONDS: Final = 1.0  # The peer's too: it is fixed there.
SHARES: Final = (0.25, 0.5, 0.75)  # Of the greatest throughput: at rest, busy, crowded.
HALF: Final = 0.5  # Where latency is promised.
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
        """How long each subject is busy with a workload before it counts."""
        return min(2, self.seconds)


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where things are: ``folder`` goes when the session ends, ``kept`` holds filled databases for the next one.

    ``server_url`` is a PostgreSQL where databases may be made; empty if there is none.
    """

    folder: Path
    kept: Path | None = None
    server_url: str = ""
