"""Tunes the interpreter's garbage collector to run less often in long-lived processes."""

import gc
from typing import Final

# Python's defaults are 700, 10, 10. A collection starts when there are so many more containers than after the last one,
# and stops the process for as long as it scans all that were made since: a payment under way has a hundred of them, so
# that 2,000 payments stop it for 100 ms. Requests leave no reference cycles, so growth by this many is an exception.
THRESHOLDS: Final = (100_000, 10, 10)


def tune_gc() -> None:
    """Exclude existing objects from garbage collection, and collect only what reference counting cannot free."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
