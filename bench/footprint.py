"""The start-up time of the service, and its size on disk."""

import importlib.metadata
import importlib.util
import marshal
import os
import re
import socket
import time
import warnings
from pathlib import Path
from typing import Final

import click

from bench.databases import fresh_databases
from bench.plan import Places
from bench.results import Figure, Findings, Goal, Run
from bench.session import Session
from bench.subjects import ROOT, SQLITE, ended, service_settings
from paidonce.proving.processes import free_port
from tests.support.service_process import START_SECONDS_MAX, ServiceProcess

START_SECONDS_BOUND: Final = 1.0
SIZE_MB_BOUND: Final = 130.0
LOOK_SECONDS: Final = 0.001
BYTECODE_HEADER: Final = 16
LOCKED: Final = re.compile(r"^([A-Za-z0-9._-]+)==")


def measure_start(session: Session) -> Findings:
    """Measure ``paidonce dev`` from its start to its first response: without a database, and with an existing one."""
    new, again = (Figure(f"paidonce dev, {kind}", SQLITE, "s", []) for kind in ("new database", "existing database"))
    for number in range(session.plan.starts):
        with fresh_databases([SQLITE], session.places, f"start-{number}") as databases:
            for figure in (new, again):
                figure.runs.append(Run(value=_start(databases[SQLITE], session.places)))
    for figure in (new, again):
        session.progress(f"{figure.what}: {figure.median:.2f} s")
    goals = [
        Goal(
            what=f"{figure.what}, time to the first response",
            subject=SQLITE,
            unit="s",
            reached=figure.median,
            bound=START_SECONDS_BOUND,
        )
        for figure in (new, again)
    ]
    return Findings([new, again], goals=goals)


def _start(database_url: str, places: Places) -> float:
    port = free_port()
    path = f"{_hidden_packages(places.folder)}{os.pathsep}{ROOT}"
    settings = {**service_settings(database_url), "PORT": str(port), "PYTHONPATH": path}
    began = time.perf_counter()
    with ended(ServiceProcess("dev", folder=places.folder, **settings)) as process:
        while not _answers(port):
            if process.process.poll() is not None or time.perf_counter() - began > START_SECONDS_MAX:
                raise click.ClickException(f"paidonce dev did not start:\n{process.output}")
            time.sleep(LOOK_SECONDS)
        return time.perf_counter() - began


def _hidden_packages(folder: Path) -> Path:
    """Make a folder for PYTHONPATH that hides what structlog and mako import if it is there, as it is only here."""
    hidden = folder / "hidden"
    for name in ("pygments", "rich"):
        package = hidden / name / "__init__.py"
        package.parent.mkdir(parents=True, exist_ok=True)
        package.write_text("raise ImportError('requirements/run.txt does not install it')\n")
    return hidden


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS_MAX) as connection:
            connection.sendall(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False


def measure_installed_size() -> Findings:
    """Sum up the files of paidonce and of everything that requirements/run.txt installs, with their bytecode."""
    lock = (ROOT / "requirements" / "run.txt").read_text()
    names = [match[1] for line in lock.splitlines() if (match := LOCKED.match(line)) and _is_for_here(line)]
    figures = [Figure("installed", "run-time environment", "MB", [])]
    missing, size = [], _bytes_in(ROOT / "src")
    for name in names:
        try:
            size += _bytes_of(importlib.metadata.distribution(name))
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        raise click.ClickException(f"not installed, so its size is not known: {', '.join(missing)}")
    figures[0].runs.append(Run(value=size / 1e6, counts={"packages": len(names)}))
    goal = Goal(
        what="installed size", subject="run-time environment", unit="MB", reached=size / 1e6, bound=SIZE_MB_BOUND
    )
    return Findings(figures, goals=[goal])


def _is_for_here(line: str) -> bool:
    """Return whether a line of the lock file applies to this Python and this machine."""
    from packaging.markers import Marker  # noqa: PLC0415 - only this needs it

    _, _, condition = line.rstrip(" \\").partition(";")
    return not condition or Marker(condition.strip()).evaluate()


def _bytes_of(distribution: importlib.metadata.Distribution) -> int:
    """Sum up the files and bytecode of a distribution, as after every module has been imported once."""
    size = 0
    for file in distribution.files or []:
        path = Path(str(distribution.locate_file(file)))
        if path.suffix == ".pyc" or not path.is_file():
            continue
        size += path.stat().st_size
        if path.suffix == ".py":
            size += _bytes_of_bytecode(path)
    return size


def _bytes_of_bytecode(path: Path) -> int:
    made = Path(importlib.util.cache_from_source(str(path)))
    if made.is_file():
        return made.stat().st_size
    try:
        with warnings.catch_warnings(action="ignore"):
            return BYTECODE_HEADER + len(marshal.dumps(compile(path.read_bytes(), path.name, "exec")))
    except (SyntaxError, ValueError):
        return 0  # Code templates, which are never imported.


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
