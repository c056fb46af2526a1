"""What one session of the benchmark does, and how long."""

from typing import Final

import msgspec

CONNECTIONS: Final = 64
MERCHANTS: Final = 100  # Spread as a shop with several sellers would be: events are numbered for each merchant.
GET_IDS: Final = 2000  # More than a framework's routing cache holds (1024), so that reads are not flattered.
PROVIDER_LATENCY_SECONDS: Final = 1.0  # The peer's too: it is fixed there.
LATENCY_SHARE_OF_THROUGHPUT: Final = 0.5  # Busy, but not overloaded.


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How long to measure: ``runs`` of ``seconds`` each, after a warm-up."""

    seconds: float
    runs: int
    settle_seconds: float
    warm_up_seconds: float
