"""What was measured: kept as JSON, so that a later session can compare itself with it."""

from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from bench.machine import Machine
from bench.plan import Plan

CREATE: Final = "create"
REPLAY: Final = "replay"
GET: Final = "get"
SETTLE: Final = "settle"
WORKLOADS: Final = (CREATE, REPLAY, GET, SETTLE)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one workload. ``errors`` counts by kind and has no zeros; ``counts`` is whatever else was counted."""

    per_second: float
    errors: dict[str, int] = {}
    counts: dict[str, int] = {}
    latency_ms: dict[str, float] = {}


class Series(msgspec.Struct, frozen=True):
    """The runs of one workload on one target."""

    workload: str
    target: str
    runs: list[Run]

    @property
    def median(self) -> float:
        """The median of the runs, per second."""
        return median(run.per_second for run in self.runs)

    @property
    def errors(self) -> dict[str, int]:
        """The errors of all runs by kind."""
        return total([run.errors for run in self.runs])

    @property
    def counts(self) -> dict[str, int]:
        """Whatever else was counted, over all runs."""
        return total([run.counts for run in self.runs])


class Results(msgspec.Struct, frozen=True):
    """A session. ``throughput`` is per second; ``latency`` was measured at a fixed rate, the runs' ``per_second``."""

    machine: Machine
    plan: Plan
    targets: list[str]
    throughput: list[Series]
    latency: list[Series]

    def find(self, workload: str, target: str) -> Series | None:
        """Find a series of the throughput."""
        wanted = (workload, target)
        return next((series for series in self.throughput if (series.workload, series.target) == wanted), None)


def total(counts: list[dict[str, int]]) -> dict[str, int]:
    """Add up counts by kind, without zeros."""
    kinds = dict.fromkeys(kind for count in counts for kind in count)
    sums = {kind: sum(count.get(kind, 0) for count in counts) for kind in kinds}
    return {kind: number for kind, number in sums.items() if number}


def save(results: Results, path: Path) -> None:
    """Write the results as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")


def load(path: Path) -> Results:
    """Read results; raises msgspec.ValidationError where they are no longer what this release writes."""
    return msgspec.json.decode(path.read_bytes(), type=Results)
