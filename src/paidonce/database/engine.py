"""Opening a database: the engine for writes, the engine for reads, and the durability settings, which are verified."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import pysqlite3.dbapi2
import structlog
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool, StaticPool

from paidonce.clock import Clock
from paidonce.database.citus.lost_nodes import find_lost_nodes
from paidonce.database.citus.watchdog import Watchdog
from paidonce.database.postgresql_engine import POSTGRESQL_CONNECT, driver_url, make_engine
from paidonce.database.statement import IS_CITUS, execute_on_driver
from paidonce.database.transaction import Transaction
from paidonce.database_url import DatabaseUrl
from paidonce.errors import DatabaseInUse, DatabaseUnavailable, NotDurable
from paidonce.file_access import create_private

log = structlog.get_logger()

SQLITE_BUSY_MS: Final = 5000
SQLITE_CACHE_KIB: Final = 16_384  # For each connection. More was no faster; the system caches the rest of the file.
ORPHANED_WRITER_SECONDS_MAX: Final = 5.0
ORPHANED_WRITER_POLL_SECONDS: Final = 0.01
SYNCHRONOUS_FULL: Final = 2
SYNCHRONOUS_EXTRA: Final = 3

BeforeCommit = Callable[[Transaction], object]
"""Runs the last statements of every write transaction. The return value is ignored."""
Watch = Callable[[Any], AbstractContextManager[None]]
"""Watches a transaction on a connection of the driver during the block, as ``Watchdog.watching`` does."""


class ConnectionHolder:
    """The connections of an engine, one of which is kept open between transactions.

    Checking a connection out of the pool and in again costs as much as several statements.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._free: list[Connection] = []

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Provide a connection for the block. It is closed where the block raises an exception."""
        try:
            connection = self._free.pop()
        except IndexError:
            connection = self._engine.connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if connection.in_transaction():  # SQLAlchemy began it for a read. Its snapshot must not be kept.
            connection.rollback()
        if self._free:
            connection.close()
        else:
            self._free.append(connection)

    def close(self) -> None:
        """Close the connection that is kept."""
        while self._free:
            self._free.pop().close()


def do_nothing() -> None:
    """Do nothing when a database is closed."""


@dataclass(slots=True)
class Database:
    """An open database. ``write()`` is one durable transaction. In ``read()`` each statement has its own snapshot.

    ``watch`` has the wait for a silent node end, on a database that is distributed. ``on_close`` is called last.
    """

    url: DatabaseUrl
    writes: Engine
    reads: Engine
    clock: Clock
    before_commit: BeforeCommit
    lock: int | None = None
    watch: Watch | None = None
    on_close: Callable[[], None] = do_nothing
    write_connections: ConnectionHolder = field(init=False)
    read_connections: ConnectionHolder = field(init=False)

    def __post_init__(self) -> None:
        """Keep a connection of each engine open."""
        self.write_connections = ConnectionHolder(self.writes)
        self.read_connections = ConnectionHolder(self.reads)

    @property
    def exclusive(self) -> bool:
        """Whether no other process can write. Every lease that is found at the start is then a stopped process's."""
        return self.url.dialect == "sqlite"

    @property
    def has_separate_reads(self) -> bool:
        """Whether reads have their own connections. An in-memory SQLite database has a single connection."""
        return self.reads is not self.writes

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Run a write transaction. When the block has ended without an exception, the transaction is on disk."""
        with self.write_connections.connection() as connection, self._watched(connection), connection.begin():
            transaction = Transaction(connection, self.clock())
            yield transaction
            self.before_commit(transaction)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Run statements that only read."""
        with self.read_connections.connection() as connection, self._watched(connection):
            yield Transaction(connection, self.clock())

    def _watched(self, connection: Connection) -> AbstractContextManager[None]:
        if self.watch is None or not connection.info.get(IS_CITUS):
            return nullcontext()
        return self.watch(connection.connection.driver_connection)

    def close(self) -> None:
        """Close all connections, release the file lock, and end the watchdog that was made for this database."""
        self.read_connections.close()
        self.write_connections.close()
        self.reads.dispose()
        self.writes.dispose()
        self.on_close()


def no_before_commit(_transaction: Transaction) -> None:
    """Do nothing before the commit: for databases that have no event log."""


def open_database(
    url: DatabaseUrl,
    *,
    clock: Clock,
    before_commit: BeforeCommit = no_before_commit,
    exclusive: bool = True,
) -> Database:
    """Open a database. Raises DatabaseInUse where another server process has the file, DatabaseUnavailable otherwise.
    On PostgreSQL the first connection raises DatabaseNotSupported where its settings are not applied.

    ``exclusive=False`` opens a SQLite file that another process may be serving: to read it, or to share it.
    """
    if url.dialect == "postgresql":
        return _open_postgresql(url, clock, before_commit)
    lock = _lock_file(url.path) if url.path and exclusive else None
    if url.path:
        create_private(url.path)
    writes = _sqlite_engine(url, begin="BEGIN IMMEDIATE")
    reads = _sqlite_engine(url, begin="BEGIN", query_only=True) if url.path else writes
    _verify_durability(url, writes)
    on_close = do_nothing if lock is None else partial(os.close, lock)
    return Database(url, writes, reads, clock, before_commit, lock, on_close=on_close)


def _open_postgresql(url: DatabaseUrl, clock: Clock, before_commit: BeforeCommit) -> Database:
    engine = make_engine(url, pool_size=4, max_overflow=4)

    def find_silent_nodes() -> frozenset[str]:
        asking = create_engine(
            driver_url(url), connect_args=POSTGRESQL_CONNECT, hide_parameters=True, poolclass=NullPool
        )
        # On a new connection, for which the coordinator keeps none to a node that has become silent.
        with asking.connect() as connection:
            return find_lost_nodes(connection)

    reads = engine.execution_options(isolation_level="AUTOCOMMIT")
    watchdog = Watchdog(find_silent_nodes)
    return Database(url, engine, reads, clock, before_commit, watch=watchdog.watching, on_close=watchdog.close)


def _sqlite_engine(url: DatabaseUrl, *, begin: str, query_only: bool = False) -> Engine:
    options: dict[str, Any] = {} if url.path else {"poolclass": StaticPool}
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(url.path or ":memory:")),
        module=pysqlite3.dbapi2,
        connect_args={"isolation_level": None, "check_same_thread": False, "timeout": SQLITE_BUSY_MS / 1000},
        hide_parameters=True,
        **options,
    )

    @event.listens_for(engine, "connect")
    def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={SQLITE_BUSY_MS}",
            f"cache_size=-{SQLITE_CACHE_KIB}",
            f"query_only={'ON' if query_only else 'OFF'}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own type
        # A deferred transaction that starts to write can fail at once with SQLITE_BUSY, despite the busy timeout.
        execute_on_driver(connection, begin)

    return engine


def _verify_durability(url: DatabaseUrl, engine: Engine) -> None:
    try:
        with engine.connect() as connection:
            journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
            synchronous = connection.exec_driver_sql("PRAGMA synchronous").scalar()
    except pysqlite3.dbapi2.Error as error:
        raise DatabaseUnavailable from error
    durable = journal == "wal" and synchronous in (SYNCHRONOUS_FULL, SYNCHRONOUS_EXTRA)
    if url.path and not durable:
        message = f"{url.shown} answers journal_mode={journal}, synchronous={synchronous}; it would lose commits."
        raise NotDurable(message)


def _lock_file(path: Path) -> int:
    """Take the server's lock on a SQLite file. The kernel releases it when every process that holds it has ended.

    The writer process of a server that was killed may still be committing its last batch. This function waits for it.
    """
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + ORPHANED_WRITER_SECONDS_MAX
    is_logged = False
    while not _is_locked_now(descriptor):
        owner = os.pread(descriptor, 20, 0).decode(errors="replace")  # Empty for a moment when the owner starts.
        if _is_alive(owner) or time.monotonic() > deadline:
            os.close(descriptor)
            message = (
                f"{path} is served by another process{owner and f', {owner}'}. One process serves a SQLite file; "
                "to run several, set DATABASE_URL to a PostgreSQL database."
            )
            raise DatabaseInUse(message)
        if not is_logged:
            log.info("waiting_for_orphaned_writer", server_pid=owner)
            is_logged = True
        time.sleep(ORPHANED_WRITER_POLL_SECONDS)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _is_locked_now(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(owner: str) -> bool:
    """Return whether a process is running, as far as can be seen. The ids of another container cannot be checked."""
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError, PermissionError):
        pass
    return True
