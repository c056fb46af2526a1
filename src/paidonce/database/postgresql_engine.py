"""The engine of a PostgreSQL: the settings of its connections, and what begins a transaction."""

import time
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from paidonce.database.statement import CITUS, IS_CITUS, dialect_of, execute_on_driver
from paidonce.database_url import DatabaseUrl
from paidonce.errors import DatabaseNotSupported

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

_NOT_APPLIED: Final = (
    "{} does not apply the settings of a connection, such as time limits. Either a pooler drops them, or this is "
    "another engine than PostgreSQL. Set DATABASE_URL to the PostgreSQL server itself."
)

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


def driver_url(url: DatabaseUrl) -> str:
    """Return the URL with the name of the driver, as SQLAlchemy reads it."""
    return f"postgresql+psycopg://{url.server.partition('://')[2]}"


def make_engine(url: DatabaseUrl, **pool: int) -> Engine:
    """Open an engine, whose connections have the settings above."""
    engine = create_engine(
        driver_url(url),
        connect_args=POSTGRESQL_CONNECT,
        hide_parameters=True,  # An error would write a merchant's data to the log.
        pool_timeout=5,
        pool_recycle=1800,
        **pool,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, record: ConnectionPoolEntry) -> None:  # noqa: ANN401 - the driver's connection
        connection.autocommit = True
        synchronous_commit, record.info[IS_CITUS], has_options = connection.execute(_CONNECTED).fetchone()
        if not has_options:
            raise DatabaseNotSupported(_NOT_APPLIED.format(url.shown))
        # With a default of "off", a crash could lose an acknowledged commit. A stronger level is kept.
        if synchronous_commit == "off":
            connection.execute("SET synchronous_commit = on")
        if record.info[IS_CITUS]:
            connection.execute(_PREPARE_CITUS)
        connection.autocommit = False

    event.listen(engine, "begin", _begin_on_postgresql)
    return engine


def _begin_on_postgresql(connection: Connection) -> None:
    execute = partial(execute_on_driver, connection)
    now = time.monotonic()
    if now >= connection.info.setdefault("plans_until", now + PLANS_SECONDS_MAX):
        connection.info["plans_until"] = now + PLANS_SECONDS_MAX
        execute("DISCARD PLANS")
    is_autocommit = connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
    if dialect_of(connection) == CITUS and not is_autocommit:
        execute(_SET_TRANSACTION_LIMITS)
