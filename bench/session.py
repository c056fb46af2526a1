"""A session: each workload on each target in turn, round after round, so that a disturbance meets them all."""

import secrets
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import click
import uvloop

from bench.closed_loop import load
from bench.open_loop import create_at_rate
from bench.plan import CONNECTIONS, GET_IDS, LATENCY_SHARE_OF_THROUGHPUT, MERCHANTS, Plan
from bench.results import CREATE, GET, REPLAY, SETTLE, Run, Series
from bench.settling import seen, settle_for
from bench.targets import Target
from bench.wire import Calls, connect

T = TypeVar("T")

Measure: TypeAlias = Callable[[Target, float], Run]


class Session:
    """Measures ``targets`` as the plan says; ``progress`` is told a line about each run."""

    def __init__(self, plan: Plan, targets: list[Target], folder: Path, progress: Callable[[str], None]) -> None:
        self._plan = plan
        self._targets = targets
        self._folder = folder
        self._progress = progress

    def throughput(self) -> list[Series]:
        """Measure what each target can do."""
        series = self._measure(CREATE, self._create)
        series += self._measure(REPLAY, self._replay)
        for target in self._targets:
            ids = _run(_create_to_be_read(target))
            self._ids_file(target).write_text("".join(f"{checkout_id}\n" for checkout_id in ids))
        series += self._measure(GET, self._get)
        return series + self._measure(SETTLE, self._settle, seconds=self._plan.settle_seconds)

    def latency(self, throughput: list[Series]) -> list[Series]:
        """Measure how long creates take at a rate that each target bears with ease."""
        rates = {
            series.target: series.median * LATENCY_SHARE_OF_THROUGHPUT
            for series in throughput
            if series.workload == CREATE
        }

        def create(target: Target, seconds: float) -> Run:
            return _run(create_at_rate(target.url, _fresh_prefix(), rate=max(1, rates[target.name]), seconds=seconds))

        return self._measure(CREATE, create)

    def _measure(self, workload: str, measure: Measure, *, seconds: float | None = None) -> list[Series]:
        series = [Series(workload, target.name, []) for target in self._targets]
        if seconds is None:  # Settling warms up by its own pilot.
            for target in self._targets:
                measure(target, self._plan.warm_up_seconds)
        for number in range(self._plan.runs):
            for target, its in zip(self._targets, series, strict=True):
                run = measure(target, seconds or self._plan.seconds)
                its.runs.append(run)
                self._progress(
                    f"{workload} on {target.name}, run {number + 1}: {run.per_second:,.0f}/s {run.errors or ''}"
                )
        return series

    def _create(self, target: Target, seconds: float) -> Run:
        return load(target.url, "create", _fresh_prefix(), str(MERCHANTS), seconds=seconds)

    def _replay(self, target: Target, seconds: float) -> Run:
        return load(target.url, "replay", "the-same-key", seconds=seconds)

    def _get(self, target: Target, seconds: float) -> Run:
        return load(target.url, "get", str(self._ids_file(target)), seconds=seconds)

    def _settle(self, target: Target, seconds: float) -> Run:
        return _run(settle_for(target.url, _fresh_prefix(), seconds))

    def _ids_file(self, target: Target) -> Path:
        return self._folder / f"{target.name}.ids"


async def _create_to_be_read(target: Target) -> list[str]:
    """Create some checkouts and return their ids; raises ClickException if one is refused."""
    async with connect(target.url, CONNECTIONS) as client:
        requests = Calls(target.url).creates(_fresh_prefix(), GET_IDS, merchants=MERCHANTS)
        answers = await client.send_all(requests)
    refused = next((answer for answer in answers if not answer.ok), None)
    if refused is not None:
        raise click.ClickException(f"{target.name} did not create a checkout: {refused.status} {refused.body.decode()}")
    return [seen.decode(answer.body).id for answer in answers]


def _fresh_prefix() -> str:
    """Make a prefix for idempotency keys that no run before, also in an earlier session against a peer, has used."""
    return f"{secrets.token_hex(6)}-"


def _run(measurement: Coroutine[Any, Any, T]) -> T:
    return uvloop.run(measurement)
