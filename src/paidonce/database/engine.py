"""Opening a database: the engine for writing, the engine for reading, and the guarantees that are read back."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pysqlite3.dbapi2
import structlog
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from paidonce.clock import Clock
from paidonce.database.statement import run_at_driver
from paidonce.database.transaction import Transaction
from paidonce.database_url import DatabaseUrl
from paidonce.errors import DatabaseInUse, DatabaseUnavailable, NotDurable
from paidonce.file_access import create_private

log = structlog.get_logger()

SQLITE_BUSY_MS: Final = 5000
SQLITE_CACHE_KIB: Final = 16_384  # A connection; more made nothing quicker, the rest is in the system's cache.
LEFT_BEHIND_SECONDS_MAX: Final = 5.0
LEFT_BEHIND_POLL_SECONDS: Final = 0.01
SYNCHRONOUS_FULL: Final = 2
SYNCHRONOUS_EXTRA: Final = 3

# A dead network is noticed within seconds; no statement and no lock is waited for without end.
POSTGRESQL_CONNECT: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "paidonce",
    # The planner takes a batch for a hundred rows and would rather read a small table from end to end; and it stays
    # with the plan of a statement that it has prepared, however the table grows. Every statement has its index. Where
    # one must do what is off, servers before 18 put its price so high that they would compile it first: no JIT.
    "options": "-c statement_timeout=30s -c lock_timeout=5s -c idle_in_transaction_session_timeout=30s"
    " -c random_page_cost=1.1 -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off",
}

BeforeCommit = Callable[[Transaction], object]
"""The last statements of every transaction that writes; what it returns is nobody's."""


class ConnectionHolder:
    """An engine's connections, one of which stays open: to take it from the pool and give it back, transaction by
    transaction, costs as much as several statements.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._free: list[Connection] = []

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection; one that saw an exception is let go of."""
        try:
            connection = self._free.pop()
        except IndexError:
            connection = self._engine.connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if connection.in_transaction():  # A read that SQLAlchemy ran: its view must not grow old.
            connection.rollback()
        if self._free:
            connection.close()
        else:
            self._free.append(connection)

    def close(self) -> None:
        """Let go of the connection that is kept."""
        while self._free:
            self._free.pop().close()


@dataclass(slots=True)
class Database:
    """An open database. ``write()`` is one durable transaction; in ``read()`` each statement has a view of its own."""

    url: DatabaseUrl
    writes: Engine
    reads: Engine
    clock: Clock
    before_commit: BeforeCommit
    lock: int | None = None
    writing: ConnectionHolder = field(init=False)
    reading: ConnectionHolder = field(init=False)

    def __post_init__(self) -> None:
        """Keep connections of both engines."""
        self.writing = ConnectionHolder(self.writes)
        self.reading = ConnectionHolder(self.reads)

    @property
    def exclusive(self) -> bool:
        """Whether no other process can be writing: then every lease that is found at start is a dead one's."""
        return self.url.dialect == "sqlite"

    @property
    def reads_beside_writes(self) -> bool:
        """Whether reading has connections of its own; SQLite in memory has a single one for everything."""
        return self.reads is not self.writes

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Run one write transaction: what was yielded is on disk when the block has ended without an exception."""
        with self.writing.connection() as connection, connection.begin():
            transaction = Transaction(connection, self.clock())
            yield transaction
            self.before_commit(transaction)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Run statements that only read."""
        with self.reading.connection() as connection:
            yield Transaction(connection, self.clock())

    def close(self) -> None:
        """Close every connection and let go of the file."""
        self.reading.close()
        self.writing.close()
        self.reads.dispose()
        self.writes.dispose()
        if self.lock is not None:
            os.close(self.lock)


def no_before_commit(_transaction: Transaction) -> None:
    """Do nothing before the commit: for databases without an event log."""


def open_database(
    url: DatabaseUrl,
    *,
    clock: Clock,
    before_commit: BeforeCommit = no_before_commit,
    exclusive: bool = True,
) -> Database:
    """Open a database; raises DatabaseInUse where another server process has the file, DatabaseUnavailable otherwise.

    ``exclusive=False`` opens a SQLite file beside the process that serves it: for looking, or for shared books.
    """
    if url.dialect == "postgresql":
        return _open_postgresql(url, clock, before_commit)
    lock = _lock_file(url.path) if url.path and exclusive else None
    if url.path:
        create_private(url.path)
    writes = _sqlite_engine(url, begin="BEGIN IMMEDIATE")
    reads = _sqlite_engine(url, begin="BEGIN", query_only=True) if url.path else writes
    _read_back_durability(url, writes)
    return Database(url, writes, reads, clock, before_commit, lock)


def _open_postgresql(url: DatabaseUrl, clock: Clock, before_commit: BeforeCommit) -> Database:
    server = f"postgresql+psycopg://{url.server.partition('://')[2]}"
    engine = create_engine(
        server,
        connect_args=POSTGRESQL_CONNECT,
        hide_parameters=True,  # An error would carry what a merchant said into the log.
        pool_size=4,
        max_overflow=4,
        pool_timeout=5,
        pool_recycle=1800,
    )

    @event.listens_for(engine, "connect")
    def _keep_commits_durable(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's connection
        # A database whose default is "off" would acknowledge what a crash can take back; a stronger level stays.
        connection.autocommit = True
        if connection.execute("SHOW synchronous_commit").fetchone()[0] == "off":
            connection.execute("SET synchronous_commit = on")
        connection.autocommit = False

    reads = engine.execution_options(isolation_level="AUTOCOMMIT")
    return Database(url, engine, reads, clock, before_commit)


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
        # A deferred transaction that turns into a write fails at once with SQLITE_BUSY, whatever the timeout says.
        run_at_driver(connection, begin)

    return engine


def _read_back_durability(url: DatabaseUrl, engine: Engine) -> None:
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


def require_durable_server(database: Database) -> None:
    """Raise NotDurable where a PostgreSQL server runs without what makes a commit survive a crash."""
    if database.url.dialect != "postgresql":
        return
    with database.reads.connect() as connection:
        set_to = {name: connection.exec_driver_sql(f"SHOW {name}").scalar() for name in ("fsync", "full_page_writes")}
    refuse_what_loses(database.url.shown, set_to)


def refuse_what_loses(place: str, set_to: Mapping[str, str | None]) -> None:
    """Raise NotDurable where one of a server's settings is off; names all of them."""
    off = [name for name, value in set_to.items() if value != "on"]
    if off:
        message = f"{place} runs with {' and '.join(f'{name}=off' for name in off)}; it would lose commits. Turn it on."
        raise NotDurable(message)


def _lock_file(path: Path) -> int:
    """Take the server's lock on a SQLite file. The kernel lets go of it when all have died who hold it.

    A server that died may have left a commit behind that its writing process is still at: that is waited for.
    """
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LEFT_BEHIND_SECONDS_MAX
    told = False
    while not _is_locked_now(descriptor):
        owner = os.pread(descriptor, 20, 0).decode(errors="replace")  # Empty for the moment in which it begins.
        if _lives(owner) or time.monotonic() > deadline:
            os.close(descriptor)
            message = (
                f"{path} is served by another process{owner and f', {owner}'}. One process serves a SQLite file; "
                "to run several, set DATABASE_URL to a PostgreSQL database."
            )
            raise DatabaseInUse(message)
        if not told:
            log.info("waiting_for_a_dead_servers_writer", server_pid=owner)
            told = True
        time.sleep(LEFT_BEHIND_POLL_SECONDS)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _is_locked_now(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(owner: str) -> bool:
    """Tell whether a process lives, as far as can be seen: one of another container cannot."""
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError, PermissionError):
        pass
    return True
