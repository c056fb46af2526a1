"""The garbage collector of a server: it leaves requests under way alone, and still frees reference cycles."""

import subprocess
import sys
from typing import Final

PROLOGUE: Final = """
import gc
from collections import deque
from paidonce.gc_tuning import tune_gc

tune_gc()

def collections():
    return sum(one["collections"] for one in gc.get_stats())

before = collections()
"""
UNDER_WAY: Final = """
under_way = deque(maxlen=60_000)  # Containers: those of 600 payments.
for number in range(1_000_000):
    under_way.append([number])
print(collections() - before)
"""
CYCLES: Final = """
for _ in range(1_000_000):
    cycle = []
    cycle.append(cycle)
print(collections() - before, gc.get_count()[0])
"""


def told(what: str) -> list[int]:
    """Run a script in an interpreter of its own; returns the numbers that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", PROLOGUE + what], check=True, stdout=subprocess.PIPE, text=True, timeout=200
    )
    return [int(one) for one in done.stdout.split()]


def test_requests_that_come_and_go_start_no_collection() -> None:
    assert told(UNDER_WAY) == [0]


def test_reference_cycles_are_freed_before_they_are_many() -> None:
    collected, left = told(CYCLES)
    assert collected >= 9
    assert left <= 100_000
