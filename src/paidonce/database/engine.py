"""Opening a database: the engine for writes, the engine for reads, and the durability settings, which are verified."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pysqlite3.dbapi2
import structlog
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, StaticPool

from paidonce.clock import Clock
from paidonce.database.citus.watchdog import Watchdog
from paidonce.database.nodes import find_lost_nodes
from paidonce.database.statement import IS_CITUS, execute_on_driver
from paidonce.database.transaction import Transaction
from paidonce.database_url import DatabaseUrl
from paidonce.errors import DatabaseInUse, DatabaseNotSupported, DatabaseUnavailable, NotDurable
from paidonce.file_access import create_private

log = structlog.get_logger()

SQLITE_BUSY_MS: Final = 5000
SQLITE_CACHE_KIB: Final = 16_384  # For each connection. More was no faster; the system caches the rest of the file.
ORPHANED_WRITER_SECONDS_MAX: Final = 5.0
ORPHANED_WRITER_POLL_SECONDS: Final = 0.01
SYNCHRONOUS_FULL: Final = 2
SYNCHRONOUS_EXTRA: Final = 3

# Every statement and every lock has a time limit.
TIME_LIMITS: Final = {
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "30s",
}

# On Citus they are also the defaults of the databases of all nodes (database/citus/node_settings.py), because those of
# a connection hold on its own node only.
PLANNER_SETTINGS: Final = {
    # The planner estimates that a batch has a hundred rows and prefers a sequential scan of a small table. It keeps the
    # plan of a prepared statement even when the table grows. Every statement of ours has an index, so scans are off.
    # Where a statement needs one anyway, servers before 18 raise its cost so far that they start JIT: JIT is off too.
    "random_page_cost": "1.1",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}

# A PostgreSQL without the extension keeps settings with a prefix that it does not know, and nothing reads them.
CITUS_SETTINGS: Final = {
    "citus.propagate_set_commands": "local",  # SET LOCAL holds on the workers too: the time limits of locks.
    # Otherwise a statement on several shards holds up all others on its table until its transaction ends. A deadlock
    # is found and its transaction is repeated.
    "citus.enable_deadlock_prevention": "off",
    # One connection to each node for a transaction: more would each have to be prepared to commit.
    "citus.max_adaptive_executor_pool_size": "1",
    # A node that is silent holds up the living ones for as long, each time that it is tried again.
    "citus.node_connection_timeout": "1s",
}

# What each transaction sets on the nodes of Citus that it uses. The limit of a statement holds on all nodes, because
# the coordinator cancels it there. That of a lock does not: the coordinator waits for an answer, not for a lock.
# A coordinator that waits for a silent node leaves its transactions on the living nodes open, with their locks. They
# end by themselves, later than a lock may take.
CITUS_TRANSACTION_LIMITS: Final = {
    "lock_timeout": TIME_LIMITS["lock_timeout"],
    "idle_in_transaction_session_timeout": "8s",
}
_SET_TRANSACTION_LIMITS: Final = "; ".join(
    f"SET LOCAL {name} = '{value}'" for name, value in CITUS_TRANSACTION_LIMITS.items()
)

# What a connection to Citus sets first. Otherwise Citus refuses to change a table of the coordinator that others refer
# to, in a transaction that used several shards. No distributed table refers to one: see database/citus/layout.py. And
# the coordinator ends what it does for a connection that was closed.
_PREPARE_CITUS: Final = (
    "SET citus.enforce_foreign_key_restrictions = off; SET client_connection_check_interval = '500ms'"
)

# Whether the options of a connection have reached the server: a pooler may drop them, and other engines ignore them.
_MARKER: Final = {"paidonce.options": "on"}
_CONNECTED: Final = """
    SELECT current_setting('synchronous_commit'), EXISTS (SELECT FROM pg_extension WHERE extname = 'citus'),
           current_setting('paidonce.options', true) = 'on'
"""

# A broken network is noticed within seconds.
POSTGRESQL_CONNECT: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "paidonce",
    "options": " ".join(
        f"-c {name}={value}" for name, value in (TIME_LIMITS | PLANNER_SETTINGS | CITUS_SETTINGS | _MARKER).items()
    ),
}

# A plan from when a table was small is used for no longer: to plan all statements again takes a few milliseconds.
PLANS_SECONDS_MAX: Final = 5.0

BeforeCommit = Callable[[Transaction], object]
"""Runs the last statements of every write transaction. The return value is ignored."""


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


@dataclass(slots=True)
class Database:
    """An open database. ``write()`` is one durable transaction. In ``read()`` each statement has its own snapshot."""

    url: DatabaseUrl
    writes: Engine
    reads: Engine
    clock: Clock
    before_commit: BeforeCommit
    lock: int | None = None
    watchdog: Watchdog | None = None
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
        """Have the wait for a silent node end, on a database that is distributed."""
        if self.watchdog is None or not connection.info.get(IS_CITUS):
            return nullcontext()
        return self.watchdog.watching(connection.connection.driver_connection)

    def close(self) -> None:
        """Close all connections and release the file lock."""
        if self.watchdog is not None:
            self.watchdog.close()
        self.read_connections.close()
        self.write_connections.close()
        self.reads.dispose()
        self.writes.dispose()
        if self.lock is not None:
            os.close(self.lock)


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
    return Database(url, writes, reads, clock, before_commit, lock)


def _open_postgresql(url: DatabaseUrl, clock: Clock, before_commit: BeforeCommit) -> Database:
    server = f"postgresql+psycopg://{url.server.partition('://')[2]}"
    engine = create_engine(
        server,
        connect_args=POSTGRESQL_CONNECT,
        hide_parameters=True,  # An error would write a merchant's data to the log.
        pool_size=4,
        max_overflow=4,
        pool_timeout=5,
        pool_recycle=1800,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, record: ConnectionPoolEntry) -> None:  # noqa: ANN401 - the driver's connection
        connection.autocommit = True
        synchronous_commit, record.info[IS_CITUS], has_options = connection.execute(_CONNECTED).fetchone()
        if not has_options:
            message = (
                f"{url.shown} does not apply the settings of a connection, such as time limits. Either a pooler drops "
                "them, or this is another engine than PostgreSQL. Set DATABASE_URL to the PostgreSQL server itself."
            )
            raise DatabaseNotSupported(message)
        # With a default of "off", a crash could lose an acknowledged commit. A stronger level is kept.
        if synchronous_commit == "off":
            connection.execute("SET synchronous_commit = on")
        if record.info[IS_CITUS]:
            connection.execute(_PREPARE_CITUS)
        connection.autocommit = False

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        now = time.monotonic()
        if now >= connection.info.setdefault("plans_until", now + PLANS_SECONDS_MAX):
            connection.info["plans_until"] = now + PLANS_SECONDS_MAX
            execute_on_driver(connection, "DISCARD PLANS")
        if connection.info[IS_CITUS] and connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            execute_on_driver(connection, _SET_TRANSACTION_LIMITS)

    def find_silent_nodes() -> frozenset[str]:
        asking = create_engine(server, connect_args=POSTGRESQL_CONNECT, hide_parameters=True, poolclass=NullPool)
        # On a new connection, for which the coordinator keeps none to a node that has become silent.
        with asking.connect() as connection:
            return find_lost_nodes(connection)

    reads = engine.execution_options(isolation_level="AUTOCOMMIT")
    return Database(url, engine, reads, clock, before_commit, watchdog=Watchdog(find_silent_nodes))


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
