"""A histogram of durations with logarithmic buckets, which can be added up and from which quantiles are read.

A bucket is named by its upper bound in milliseconds. Each bound is 2^(1/8) times the one before, so there are eight in
an octave, and a quantile is within 4.5 % of the true value, rounded to a millisecond. Below 16 ms each millisecond has
a bucket of its own.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from math import ceil, sqrt
from typing import Final, TypeAlias

Histogram: TypeAlias = Counter[str]
"""How many durations are in each bucket. The keys are upper bounds in milliseconds, as JSON has them."""

BUCKETS_IN_AN_OCTAVE: Final = 8
OCTAVES: Final = 34  # Up to 198 days. What took longer is in the last bucket.
ERROR_MAX: Final = 2 ** (1 / BUCKETS_IN_AN_OCTAVE / 2) - 1

BOUNDS_MS: Final = sorted(
    {ceil(2 ** (number / BUCKETS_IN_AN_OCTAVE)) for number in range(OCTAVES * BUCKETS_IN_AN_OCTAVE + 1)}
)


def bucket_of(duration_ms: int) -> str:
    """Name the bucket of a duration. One below zero, which two clocks can make, counts as zero."""
    return str(BOUNDS_MS[min(bisect_left(BOUNDS_MS, max(duration_ms, 0)), len(BOUNDS_MS) - 1)])


def quantile_ms(histogram: Mapping[str, int], share: float) -> int | None:
    """Return the duration in milliseconds that a ``share`` of all do not exceed; None where there are none."""
    total = sum(histogram.values())
    rank = max(1, ceil(share * total))
    for bound in sorted(int(one) for one in histogram):
        rank -= histogram[str(bound)]
        if rank <= 0 < total:
            return _middle_of(bound)
    return None


def _middle_of(bound: int) -> int:
    """Return the duration that is at most ``ERROR_MAX`` away from every one in the bucket."""
    position = bisect_left(BOUNDS_MS, bound)
    lowest = BOUNDS_MS[position - 1] + 1 if position else bound
    return round(sqrt(lowest * bound))
