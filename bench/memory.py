"""Memory of all processes of the service, after a million checkouts and during a soak at half of its throughput."""

import subprocess
import time
from pathlib import Path
from statistics import mean
from typing import Final

import uvloop

from bench.calls import Calls, Made, create_some, fresh_prefix
from bench.databases import fresh_databases
from bench.latency import send_when_due
from bench.load import load
from bench.plan import CONNECTIONS, HALF
from bench.results import Figure, Findings, Goal, Run, total
from bench.session import Session
from bench.subjects import Subject, paidonce_running
from bench.throughput import CREATE, merchants_file
from bench.wire import connect, errors_of

PORTION_SECONDS: Final = 10.0
WARM_UP_SHARE: Final = 0.2  # The share of the soak in which pools fill up, before the trend is meaningful.
GROWTH_MB_A_MINUTE_MAX: Final = 0.5
MEMORY_MB_MAX: Final = 150.0
CALLS_EACH: Final = 3  # Each checkout of the soak is created, read and paid.


def measure_memory(session: Session) -> Findings:
    """Create ``soak_checkouts`` at full speed, then create, read and pay for ``soak_seconds``, and watch the memory."""
    name = session.databases[0]
    with (
        fresh_databases([name], session.places, "soak") as databases,
        paidonce_running(name, databases[name], session.places.folder / "soak") as subject,
    ):
        at_start = resident_mb(subject.pid)
        rate, errors = _fill(session, subject)
        after_filling = resident_mb(subject.pid)
        samples, soak_errors = _soak(session, subject, HALF * rate / CALLS_EACH)
    growth = growth_a_minute(samples)
    filled = f"memory after {session.plan.soak_checkouts:,} checkouts"
    figures = [
        Figure("memory at start", name, "MB", [Run(value=at_start)]),
        Figure(filled, name, "MB", [Run(value=after_filling, errors=errors)]),
        Figure("memory after the soak test", name, "MB", [Run(value=samples[-1][1], errors=soak_errors)]),
    ]
    goals = [
        Goal(what=figure.what, subject=name, unit="MB", reached=figure.median, bound=MEMORY_MB_MAX)
        for figure in figures[1:]
    ]
    goals.append(
        Goal(
            what=f"memory growth in a soak test of {session.plan.soak_seconds / 60:.0f} minutes",
            subject=name,
            unit="MB/min",
            reached=growth,
            bound=GROWTH_MB_A_MINUTE_MAX,
        )
    )
    return Findings(figures, goals=goals)


def _fill(session: Session, subject: Subject) -> tuple[float, dict[str, int]]:
    """Create at full speed; returns the creates per second."""
    merchants = str(merchants_file(session.places, subject))
    created, errors, rates = 0.0, [], []
    while created < session.plan.soak_checkouts:
        run = load(subject.url, CREATE, fresh_prefix(), merchants, seconds=PORTION_SECONDS)
        created += run.value * PORTION_SECONDS
        errors.append(run.errors)
        rates.append(run.value)
        session.progress(f"{created:,.0f} checkouts, {resident_mb(subject.pid):.0f} MB")
        if not run.value:
            raise RuntimeError("nothing was created any more")
    return mean(rates), total(errors)


def _soak(session: Session, subject: Subject, rate: float) -> tuple[list[tuple[float, float]], dict[str, int]]:
    """Use ``rate`` checkouts a second; returns the seconds and megabytes of each portion, and the errors."""
    samples: list[tuple[float, float]] = []
    errors = []
    made = uvloop.run(create_some(subject, round(rate * PORTION_SECONDS)))
    began = time.monotonic()
    while not samples or samples[-1][0] < session.plan.soak_seconds:
        made, wrong = uvloop.run(_portion(subject, made, rate))
        errors.append(wrong)
        samples.append((time.monotonic() - began, resident_mb(subject.pid)))
        session.progress(f"soak, {samples[-1][0]:.0f} s: {samples[-1][1]:.1f} MB {wrong or ''}")
    return samples, total(errors)


async def _portion(subject: Subject, before: list[Made], rate: float) -> tuple[list[Made], dict[str, int]]:
    """Create checkouts, while those of the portion before are read and paid."""
    calls = Calls(subject)
    requests: list[bytes] = []
    for create, one in zip(calls.creates(len(before)), before, strict=True):
        requests += (create, calls.get(one), calls.pay(one))
    async with connect(subject.url, CONNECTIONS) as client:
        answers = (await send_when_due(client, requests, CALLS_EACH * rate)).answers
    made = calls.made(answers[::CALLS_EACH])
    return made, total([errors_of(answers)])


def growth_a_minute(samples: list[tuple[float, float]]) -> float:
    """Fit a line through (seconds, value) by least squares, without the warm-up; returns its slope a minute."""
    steady = samples[int(len(samples) * WARM_UP_SHARE) :]
    middle, level = mean(at for at, _ in steady), mean(value for _, value in steady)
    spread = sum((at - middle) ** 2 for at, _ in steady)
    return 60 * sum((at - middle) * (value - level) for at, value in steady) / spread if spread else 0.0


def resident_mb(pid: int) -> float:
    """Sum up the memory of a process and its children. Shared pages count once, where Linux reports them."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True).stdout
    processes = [tuple(map(int, line.split())) for line in listed.splitlines()]
    family = {pid}
    while more := {child for child, parent, _ in processes if parent in family} - family:
        family |= more
    return sum(_own_kib(one) or kib for one, _, kib in processes if one in family) * 1024 / 1e6


def _own_kib(pid: int) -> int | None:
    """Read a process's proportional set size; None where the system does not report it."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), None)
