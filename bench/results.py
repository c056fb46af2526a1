"""The results, stored as JSON, so that a later session can be compared with them or added."""

from pathlib import Path
from statistics import median
from typing import Final

import click
import msgspec

from bench.machine import Machine
from bench.plan import Plan

PER_SECOND: Final = "per second"
MILLISECONDS: Final = "ms"
PERCENTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one workload. ``errors`` are counted by kind and omit zeros; ``counts`` are other counters."""

    value: float
    errors: dict[str, int] = {}
    counts: dict[str, int] = {}


class Figure(msgspec.Struct, frozen=True):
    """The runs of one workload on one subject."""

    what: str
    subject: str
    unit: str
    runs: list[Run]

    @property
    def median(self) -> float:
        """The median of the runs."""
        return median(run.value for run in self.runs)

    @property
    def errors(self) -> dict[str, int]:
        """The errors of all runs by kind."""
        return total([run.errors for run in self.runs])

    @property
    def counts(self) -> dict[str, int]:
        """All other counters, over all runs."""
        return total([run.counts for run in self.runs])


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """How long answers took at a fixed rate, a ``share`` of the throughput; ``ms`` is by percentile.

    ``late_ms`` tells, at p99, how late the requests themselves were: that too is in ``ms``, but no answer's fault.
    """

    what: str
    subject: str
    share: float
    per_second: float
    samples: int
    ms: dict[str, float]
    late_ms: float
    errors: dict[str, int]


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """A target and the result, in the same ``unit``."""

    what: str
    subject: str
    reached: float
    bound: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the target was reached."""
        return self.reached >= self.bound if self.at_least else self.reached <= self.bound


class Share(msgspec.Struct, frozen=True):
    """A share of the interpreter's time."""

    what: str
    percent: float


class Profile(msgspec.Struct, frozen=True):
    """The shares by thread, and by function without its callees; the largest first."""

    threads: list[Share]
    functions: list[Share]


class Findings(msgspec.Struct, frozen=True):
    """The results of a section."""

    figures: list[Figure] = []
    latencies: list[Latency] = []
    goals: list[Goal] = []
    notes: list[str] = []
    profile: Profile | None = None


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the benchmark, at which commit and on how busy a machine it was measured. A failed one says why."""

    commit: str
    load_before: float
    findings: Findings
    failure: str = ""


class Results(msgspec.Struct, frozen=True):
    """A session, or several that were merged: each section has its latest results."""

    machine: Machine
    plan: Plan
    sections: dict[str, Section]

    @property
    def goals(self) -> list[Goal]:
        """All targets."""
        return [goal for section in self.sections.values() for goal in section.findings.goals]

    @property
    def figures(self) -> list[Figure]:
        """All figures."""
        return [figure for section in self.sections.values() for figure in section.findings.figures]

    @property
    def latencies(self) -> list[Latency]:
        """All latencies at a fixed rate."""
        return [latency for section in self.sections.values() for latency in section.findings.latencies]

    @property
    def measured(self) -> list[Figure | Latency]:
        """Both."""
        return [*self.figures, *self.latencies]

    def find(self, what: str, subject: str) -> Figure | None:
        """Find a figure."""
        return find(self.figures, what, subject)


def find(figures: list[Figure], what: str, subject: str) -> Figure | None:
    """Find a figure among several."""
    return next((one for one in figures if (one.what, one.subject) == (what, subject)), None)


def percentiles(values: list[float]) -> dict[str, float]:
    """Return the reported percentiles by the nearest-rank method; 0 without values."""
    ordered = sorted(values) or [0.0]
    return {name: ordered[min(len(ordered) - 1, int(len(ordered) * share))] for name, share in PERCENTILES.items()}


def total(counts: list[dict[str, int]]) -> dict[str, int]:
    """Sum up counts by kind, without zeros."""
    kinds = dict.fromkeys(kind for count in counts for kind in count)
    sums = {kind: sum(count.get(kind, 0) for count in counts) for kind in kinds}
    return {kind: number for kind, number in sums.items() if number}


def save(results: Results, path: Path) -> None:
    """Write the results as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")


def load(path: Path) -> Results:
    """Read results; raises ClickException where they have an outdated format."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Results)
    except msgspec.ValidationError as error:
        raise click.ClickException(f"{path} is from another release of the benchmark, remove it: {error}") from error
