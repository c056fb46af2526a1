"""A session runs section after section. A failed section is reported, and the others go on."""

import os
from collections.abc import Callable

import click

from bench.databases import write_out
from bench.machine import commit
from bench.plan import Places, Plan
from bench.results import Figure, Findings, Run, Section
from bench.subjects import Subject


class Session:
    """The places and the plan. ``progress`` is called with a line of text now and then."""

    def __init__(self, plan: Plan, places: Places, databases: list[str], progress: Callable[[str], None]) -> None:
        self.plan = plan
        self.places = places
        self.databases = databases
        self.progress = progress

    def interleaved(
        self,
        what: str,
        unit: str,
        subjects: list[Subject],
        measure: Callable[[Subject, float], Run],
        *,
        warming_up: bool = True,
    ) -> list[Figure]:
        """Run a workload on each subject in turn, in several rounds, so that a disturbance affects all of them."""
        figures = [Figure(what, subject.name, unit, []) for subject in subjects]
        if warming_up:
            for subject in subjects:
                measure(subject, self.plan.warm_up_seconds)
        for number in range(self.plan.runs):
            for subject, figure in zip(subjects, figures, strict=True):
                write_out(self.places)
                run = measure(subject, self.plan.seconds)
                figure.runs.append(run)
                self.progress(
                    f"{what}, {subject.name}, run {number + 1}: {run.value:,.1f} {unit} {run.errors or ''}".rstrip()
                )
        return figures


def measure_section(name: str, measure: Callable[[], Findings], progress: Callable[[str], None]) -> Section:
    """Measure one section; a failure becomes part of its result."""
    load_before = os.getloadavg()[0]
    try:
        return Section(commit=commit(), load_before=load_before, findings=measure())
    except Exception as error:  # noqa: BLE001 - whatever it was, the rest is measured
        progress(f"! {name} failed: {failure_of(error)}")
        return failed(error)


def failed(error: Exception) -> Section:
    """Return a section with only these results."""
    return Section(commit=commit(), load_before=0, findings=Findings(), failure=failure_of(error))


def failure_of(error: Exception) -> str:
    """Describe an error in one line."""
    message = error.message if isinstance(error, click.ClickException) else f"{type(error).__name__}: {error}"
    return " ".join(message.split())
