"""What was measured: kept as JSON, so that a later session can compare itself with it or add to it."""

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
    """One run of one workload. ``errors`` counts by kind and has no zeros; ``counts`` is whatever else was counted."""

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
        """Whatever else was counted, over all runs."""
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
    """What was promised, and what was reached, in the same ``unit``."""

    what: str
    subject: str
    reached: float
    bound: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.reached >= self.bound if self.at_least else self.reached <= self.bound


class Share(msgspec.Struct, frozen=True):
    """What takes ``percent`` of the interpreter's time."""

    what: str
    percent: float


class Profile(msgspec.Struct, frozen=True):
    """Shares by thread, and by function itself, without what it calls; the greatest first."""

    threads: list[Share]
    functions: list[Share]


class Findings(msgspec.Struct, frozen=True):
    """What a section found."""

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
    """A session, or several that were put together: each section stands as it was measured last."""

    machine: Machine
    plan: Plan
    sections: dict[str, Section]

    @property
    def goals(self) -> list[Goal]:
        """All that was promised."""
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
    """Tell the percentiles that are reported, by the nearest rank; of nothing they are 0."""
    ordered = sorted(values) or [0.0]
    return {name: ordered[min(len(ordered) - 1, int(len(ordered) * share))] for name, share in PERCENTILES.items()}


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
    """Read results; raises ClickException where they are no longer what this release writes."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Results)
    except msgspec.ValidationError as error:
        raise click.ClickException(f"{path} is from another release of the benchmark, remove it: {error}") from error
