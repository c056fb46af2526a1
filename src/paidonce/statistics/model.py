"""What is counted, for each merchant, mode, hour, currency and provider."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from paidonce.clock import Instant
from paidonce.database.schema.statistics import COUNTS
from paidonce.merchants.model import Tenant
from paidonce.search.model import TermRow
from paidonce.statistics.histogram import Histogram

# Counts and sums, which are added. Sums are in minor units.
ADDED: Final = (*COUNTS, "amount_refunded", "amount_disputed")


class FiguresKey(msgspec.Struct, frozen=True, order=True):
    """What figures are about. ``hour`` is the instant at which an hour begins, in UTC.

    ``provider`` is empty for what happened without an attempt: checkouts that were created, or that ended unpaid.
    """

    merchant_id: str
    mode: str
    hour: Instant
    currency: str
    provider: str


class Figures(msgspec.Struct):
    """Counts, and sums in minor units. Refunds that failed after all, and disputes that were won, are subtracted in the
    hour in which that became known, so these two sums can be negative.

    ``declines`` counts declined payments by their decline code; ``settle_times`` is the time from the first pay to the
    provider's confirmation.
    """

    checkouts_created: int = 0
    payments_succeeded: int = 0
    payments_declined: int = 0
    checkouts_expired: int = 0
    checkouts_canceled: int = 0
    amount_captured: int = 0
    amount_refunded: int = 0
    amount_disputed: int = 0
    declines: Counter[str] = msgspec.field(default_factory=Counter)
    settle_times: Histogram = msgspec.field(default_factory=Counter)

    def add(self, other: "Figures") -> None:
        """Add other figures of the same currency."""
        sums = [getattr(other, name) for name in ADDED]
        self.add_values(sums, other.declines, other.settle_times)

    def add_values(self, sums: Sequence[int], declines: Mapping[str, int], settle_times: Mapping[str, int]) -> None:
        """Add other figures, whose sums are in the order of ``ADDED``."""
        for name, value in zip(ADDED, sums, strict=True):
            if value:
                setattr(self, name, getattr(self, name) + value)
        # Counter.update takes twice as long.
        for mine, others in ((self.declines, declines), (self.settle_times, settle_times)):
            for key, count in others.items():
                mine[key] = mine.get(key, 0) + count

    @property
    def success_rate(self) -> float | None:
        """The share of the decided payments that succeeded; None where none was decided."""
        decided = self.payments_succeeded + self.payments_declined
        return self.payments_succeeded / decided if decided else None


class LogCount(msgspec.Struct, frozen=True):
    """What the events of a log count as whose numbers are above ``after``, up to ``to``.

    ``to_created_at`` is when the last of them was written. ``terms`` are those of the checkouts that were created.
    ``has_more`` tells whether further events follow.
    """

    tenant: Tenant
    after: int
    to: int
    to_created_at: Instant
    figures: dict[FiguresKey, Figures]
    terms: list[TermRow]
    has_more: bool


class UncountedLogs(msgspec.Struct, frozen=True):
    """The logs of a page of merchants that have events which are not counted; ``last`` is None on the last page."""

    tenants: list[Tenant]
    last: str | None
