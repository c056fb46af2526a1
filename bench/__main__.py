"""``python -m bench``: measure, print, and keep the figures if asked to."""

import sys
import tempfile
from pathlib import Path
from typing import Final

import click

from bench.closed_loop import wrk_is_installed
from bench.machine import describe_machine
from bench.plan import Plan
from bench.report import show, show_comparison
from bench.results import Results, load, save
from bench.session import Session
from bench.targets import PEER, POSTGRESQL, SQLITE, missing_for_postgresql, targets_running

NO_WRK_EXIT: Final = 2
ERRORS_EXIT: Final = 1
NO_WRK: Final = """\
The benchmark needs wrk, which every distribution has:
  apt install wrk      (Debian, Ubuntu)
  dnf install wrk      (Fedora)
  apk add wrk          (Alpine)
  brew install wrk     (macOS)"""


@click.command(context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "BENCH"})
@click.option("--peer", envvar="PEER", metavar="URL", help="A service that speaks the demo's three calls.")
@click.option("--seconds", default=5.0, show_default=True, type=click.FloatRange(min=1), help="Length of a run.")
@click.option("--runs", default=3, show_default=True, type=click.IntRange(min=1), help="Runs of each workload.")
@click.option(
    "--settle-seconds", default=8.0, show_default=True, type=click.FloatRange(min=2), help="Length of a settle run."
)
@click.option("--quick", is_flag=True, help="One run of 2 seconds: to see that it works.")
@click.option("--sqlite/--no-sqlite", default=True, help="Whether to measure paidonce on SQLite.")
@click.option("--postgresql/--no-postgresql", default=True, help="Whether to measure paidonce on PostgreSQL.")
@click.option(
    "--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Where the SQLite file will be."
)
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Keep all figures in this file."
)
@click.option(
    "--compare", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file that --json wrote."
)
def main(
    *,
    peer: str | None,
    seconds: float,
    runs: int,
    settle_seconds: float,
    quick: bool,
    sqlite: bool,
    postgresql: bool,
    folder: Path | None,
    json_file: Path | None,
    compare: Path | None,
) -> None:
    """Measure paidonce: creates, replays, gets, and payments from pay to settled, per second.

    Exit 1 if paidonce answered anything with an error, 2 if wrk is missing. Each option is also in the environment, as
    BENCH_SECONDS is --seconds.
    """
    if not wrk_is_installed():
        click.echo(NO_WRK, err=True)
        sys.exit(NO_WRK_EXIT)
    before = load(compare) if compare else None
    with tempfile.TemporaryDirectory(prefix="paidonce-bench-", dir=folder) as temporary:
        plan = _plan(seconds, runs, settle_seconds, quick=quick)
        databases = _databases(sqlite=sqlite, postgresql=postgresql)
        results = measure(plan, databases, peer, Path(temporary))
    click.echo(show(results))
    if before is not None:
        click.echo(f"\n{show_comparison(results, before)}")
    if json_file is not None:
        save(results, json_file)
    if any(series.errors for series in [*results.throughput, *results.latency] if series.target != PEER):
        sys.exit(ERRORS_EXIT)


def measure(plan: Plan, databases: list[str], peer: str | None, folder: Path) -> Results:
    """Start what is to be measured in ``folder``, and measure it."""
    machine = describe_machine(folder)
    with targets_running(databases, peer, folder) as targets:
        session = Session(plan, targets, folder, lambda line: click.echo(line, err=True))
        throughput = session.throughput()
        latency = session.latency(throughput)
    return Results(machine, plan, [target.name for target in targets], throughput, latency)


def _plan(seconds: float, runs: int, settle_seconds: float, *, quick: bool) -> Plan:
    if quick:
        return Plan(seconds=2, runs=1, settle_seconds=3, warm_up_seconds=1)
    return Plan(seconds=seconds, runs=runs, settle_seconds=settle_seconds, warm_up_seconds=min(2, seconds))


def _databases(*, sqlite: bool, postgresql: bool) -> list[str]:
    missing = missing_for_postgresql() if postgresql else None
    if missing:
        click.echo(f"PostgreSQL is left out: {missing}", err=True)
    return [SQLITE] * sqlite + [POSTGRESQL] * (postgresql and not missing)


main()
