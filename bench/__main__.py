"""``python -m bench``: measures, prints the figures, and stores them on request."""

import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from bench.databases import fresh_databases, missing_for_postgresql, server_running
from bench.distributed import measure_distributed
from bench.footprint import measure_installed_size, measure_start
from bench.latency import measure_latencies
from bench.load import wrk_is_installed
from bench.machine import describe_machine
from bench.memory import measure_memory
from bench.pages import measure_pages
from bench.plan import Places, Plan
from bench.profiling import measure_profile
from bench.report import show, show_comparison, write_into
from bench.results import Findings, Results, Section, load, save
from bench.session import Session, failed, failure_of, measure_section
from bench.single import measure_one_connection
from bench.sizes import measure_sizes
from bench.subjects import PEER, POSTGRESQL, SQLITE, Subject, subjects_running
from bench.throughput import measure_creates, measure_gets, measure_replays, measure_settling

NO_WRK_EXIT: Final = 2
ERRORS_EXIT: Final = 1
NO_WRK: Final = """\
The benchmark needs wrk, which every distribution has:
  apt install wrk      (Debian, Ubuntu)
  dnf install wrk      (Fedora)
  apk add wrk          (Alpine)
  brew install wrk     (macOS)"""

# Measured in turns on running services, so that every ratio is from one run.
BESIDE: Final[dict[str, Callable[[Session, list[Subject]], Findings]]] = {
    "create": measure_creates,
    "replay": measure_replays,
    "get": measure_gets,
    "settle": measure_settling,
    "single": measure_one_connection,
}
LATENCY: Final = "latency"
# Measured alone, on separate services.
ALONE: Final[dict[str, Callable[[Session], Findings]]] = {
    "sizes": measure_sizes,
    "pages": measure_pages,
    "start": measure_start,
    "installed": lambda _session: measure_installed_size(),
    "distributed": measure_distributed,
    "soak": measure_memory,
    "profile": measure_profile,
}
SECTIONS: Final = ("create", "replay", "get", "settle", LATENCY, "single", *ALONE)
ONLY_IF_ASKED: Final = ("distributed", "soak", "profile")


def _sections(_context: click.Context, _parameter: click.Parameter, value: str) -> list[str]:
    names = [name.strip() for name in value.split(",") if name.strip()]
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        raise click.BadParameter(f"unknown: {', '.join(unknown)}; known: {', '.join(SECTIONS)}")
    return names


FILE: Final[Any] = click.Path(dir_okay=False, path_type=Path)
OLD_FILE: Final[Any] = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER: Final[Any] = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "BENCH", "max_content_width": 110}
)
@click.option(
    "--peer",
    default="",
    envvar="PEER",
    metavar="URL",
    help="URL of a service with the demo's three calls, to compare with.",
)
@click.option(
    "--only", default="", callback=_sections, metavar="NAMES", help=f"Measure only these: {', '.join(SECTIONS)}."
)
@click.option("--soak", is_flag=True, help="Also measure memory over a million checkouts and a soak test (20 minutes).")
@click.option("--profile", is_flag=True, help="Also record a CPU profile with py-spy.")
@click.option(
    "--quick", is_flag=True, help="A short run to check that the benchmark works; --onto and --docs have no effect."
)
@click.option("--seconds", default=5.0, show_default=True, type=click.FloatRange(min=1), help="Duration of a run.")
@click.option(
    "--runs", default=3, show_default=True, type=click.IntRange(min=1), help="Number of runs of each workload."
)
@click.option(
    "--rows",
    default=1_000_000,
    show_default=True,
    type=click.IntRange(min=10_000),
    help="Number of rows in a large table.",
)
@click.option("--soak-checkouts", default=1_000_000, show_default=True, type=click.IntRange(min=1))
@click.option("--soak-seconds", default=600.0, show_default=True, type=click.FloatRange(min=10))
@click.option("--sqlite/--no-sqlite", default=True, help="Whether to measure paidonce on SQLite.")
@click.option("--postgresql/--no-postgresql", default=True, help="Whether to measure paidonce on PostgreSQL.")
@click.option(
    "--server",
    default="",
    envvar="DATABASE_URL",
    metavar="URL",
    help="A PostgreSQL server on which databases may be created.",
)
@click.option("--folder", type=FOLDER, help="Directory for the SQLite files.")
@click.option("--keep", type=FOLDER, help="Directory in which filled SQLite files are kept and reused.")
@click.option("--json", "json_file", type=FILE, help="Write all figures to this file.")
@click.option("--onto", type=FILE, help="Like --json, but keep figures in the file that are not measured now.")
@click.option("--docs", type=FOLDER, help="Write figures and pictures into performance.md in this directory.")
@click.option("--compare", type=OLD_FILE, help="A file from --json; print ratios to it.")
def main(
    *,
    only: list[str],
    soak: bool,
    profile: bool,
    quick: bool,
    sqlite: bool,
    postgresql: bool,
    server: str,
    folder: Path | None,
    keep: Path | None,
    json_file: Path | None,
    onto: Path | None,
    docs: Path | None,
    compare: Path | None,
    peer: str,
    **lengths: Any,  # noqa: ANN401 - as their options are typed
) -> None:
    """Measure throughput, latency, large tables, start, size and memory of paidonce, a peer and the limit.

    Exit 1 if a measurement failed or paidonce returned an error, 2 if wrk is missing. Each option can also be set in
    the environment: BENCH_SECONDS is --seconds.
    """
    if not wrk_is_installed():
        click.echo(NO_WRK, err=True)
        sys.exit(NO_WRK_EXIT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # So that every `finally` block runs.
    names = only or [name for name in SECTIONS if name not in ONLY_IF_ASKED]
    names += [name for name, asked in (("soak", soak), ("profile", profile)) if asked and name not in names]
    before = load(compare) if compare else None
    if quick:
        onto = docs = None  # Its figures are meaningless.
    kept = load(onto).sections if onto is not None and onto.exists() else {}
    server = server if server.startswith("postgres") else ""
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="paidonce-bench-", dir=folder)))
        databases = _databases(server, sqlite=sqlite, postgresql=postgresql)
        if POSTGRESQL in databases:
            server = stack.enter_context(server_running(server))
        places = Places(folder=temporary, kept=keep, server_url=server)
        machine = describe_machine(places)
        click.echo("\n".join(machine.lines), err=True)
        plan = _plan(quick=quick, **lengths)
        session = Session(plan, places, databases, lambda line: click.echo(line, err=True))
        results = Results(machine, plan, measure(session, names, peer))
    wrong = _went_wrong(results)
    results = msgspec.structs.replace(results, sections={**kept, **results.sections})
    _tell(results, before, json_file or onto, docs)
    sys.exit(ERRORS_EXIT if wrong else 0)


def measure(session: Session, names: list[str], peer_url: str) -> dict[str, Section]:
    """Measure the sections with these names, in their usual order."""
    sections: dict[str, Section] = {}

    def section(name: str, how: Callable[[], Findings]) -> None:
        if name in names:
            session.progress(f"── {name}")
            sections[name] = measure_section(name, how, session.progress)

    def missing(name: str, error: Exception) -> None:
        session.progress(f"! {name} is left out: {failure_of(error)}")
        sections[f"starting {name}"] = failed(error)

    if set(names) & {*BESIDE, LATENCY}:
        with (
            fresh_databases(session.databases, session.places, "bench") as databases,
            subjects_running(databases, peer_url, session.places.folder, missing) as subjects,
        ):
            for name, how in BESIDE.items():
                section(name, partial(how, session, subjects))
            throughput = [figure for one in sections.values() for figure in one.findings.figures]
            section(LATENCY, partial(measure_latencies, session, subjects, throughput))
    for name, alone in ALONE.items():
        section(name, partial(alone, session))
    return sections


def _went_wrong(results: Results) -> bool:
    return any(one.failure for one in results.sections.values()) or any(
        one.errors for one in results.measured if one.subject != PEER
    )


def _tell(results: Results, before: Results | None, json_file: Path | None, docs: Path | None) -> None:
    click.echo(show(results))
    if before is not None:
        click.echo(f"\n{show_comparison(results, before)}")
    if json_file is not None:
        save(results, json_file)
    if docs is not None:
        write_into(docs / "performance.md", results, _pictures(results, docs))


def _pictures(results: Results, folder: Path) -> list[str]:
    try:
        from bench.plot import draw  # noqa: PLC0415 - matplotlib is heavy, and only this needs it
    except ModuleNotFoundError as error:
        click.echo(f"! no pictures: {error}", err=True)
        return []
    return draw(results, folder)


def _plan(*, quick: bool, seconds: float, runs: int, rows: int, soak_checkouts: int, soak_seconds: float) -> Plan:
    return Plan(
        seconds=1 if quick else seconds,
        runs=1 if quick else runs,
        settle_seconds=2 if quick else seconds + 2,
        latency_seconds=2 if quick else seconds,
        samples=50 if quick else 300,
        starts=1 if quick else 5,
        rows=20_000 if quick else rows,
        soak_checkouts=2_000 if quick else soak_checkouts,
        soak_seconds=20 if quick else soak_seconds,
    )


def _databases(server: str, *, sqlite: bool, postgresql: bool) -> list[str]:
    missing = missing_for_postgresql(server) if postgresql else ""
    if missing:
        click.echo(f"PostgreSQL is left out: {missing}", err=True)
    return [SQLITE] * sqlite + [POSTGRESQL] * (postgresql and not missing)


main()
