"""Classifies database errors (retry, unavailable, or a defect), and retries transactions."""

import time
from collections.abc import Callable
from enum import Enum
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError as PoolTimeoutError

from paidonce.errors import DatabaseUnavailable
from paidonce.ids import Chance

T = TypeVar("T")

# Serialization failure, deadlock, lock not available: the transaction was rolled back and may run again.
POSTGRESQL_CONFLICTS: Final = frozenset({"40001", "40P01", "55P03"})
# Connection exception, insufficient resources, operator intervention, system error; 25006: read only after a failover;
# 25P03: the transaction was idle for too long.
POSTGRESQL_UNAVAILABLE: Final = ("08", "53", "57", "58", "25006", "25P03")
# A statement exceeded its time limit. A retry would keep the client waiting for as long again.
POSTGRESQL_TOO_SLOW: Final = frozenset({"57014"})
# Citus reports what it or libpq on the coordinator says about a node without a SQLSTATE of its own: as this one.
INTERNAL_ERROR: Final = "XX000"
NODE_FAILURES: Final = (
    "failure on connection marked as essential",
    "could not commit transaction for shard",
    "server closed the connection unexpectedly",
    "SSL SYSCALL error",
    "SSL connection has been closed unexpectedly",
    "connection not open",
    "could not receive data from server",
    "could not send data to server",
    "no connection to the server",
)
# How Citus says that an error with a SQLSTATE is about the connection to a node, or was passed on from there.
NODE_CONNECTION_FAILURES: Final = ("connection to the remote node", "could not establish any connections to the node")
NODE_CONTEXT: Final = "while executing command on"
SQLITE_CONFLICTS: Final = frozenset({5, 6})  # BUSY, LOCKED
SQLITE_UNAVAILABLE: Final = frozenset({7, 8, 10, 11, 13, 14, 26})  # NOMEM READONLY IOERR CORRUPT FULL CANTOPEN NOTADB

BACKOFF_SECONDS: Final = (0.0, 0.05, 0.2, 0.5)  # Less than a second in total, because a client is waiting.


class Fault(Enum):
    """What to do about a database error."""

    CONFLICT = "run it again"
    CONNECTION = "reconnect and run it again"
    NODE = "a node of a distributed database is lost: run what is stored on the others"
    UNAVAILABLE = "give up, nothing is acknowledged"
    DEFECT = "a defect or bad data: a retry does not help"


def classify(error: Exception) -> Fault:
    """Classify a database error by its SQLSTATE or SQLite result code."""
    if isinstance(error, PoolTimeoutError):
        return Fault.UNAVAILABLE
    if not isinstance(error, DBAPIError):
        return Fault.DEFECT
    code = getattr(error.orig, "sqlite_errorcode", None)
    if isinstance(code, int):
        primary = code & 0xFF
        if primary in SQLITE_CONFLICTS:
            return Fault.CONFLICT
        return Fault.UNAVAILABLE if primary in SQLITE_UNAVAILABLE else Fault.DEFECT
    state = getattr(error.orig, "sqlstate", None)
    if state in POSTGRESQL_CONFLICTS:
        return Fault.CONFLICT
    if state in POSTGRESQL_TOO_SLOW:
        return Fault.UNAVAILABLE
    # An error without a SQLSTATE is the driver's: about the connection, or about a value that it does not accept.
    if not error.connection_invalidated and _is_of_a_node(state, error.orig):
        return Fault.NODE
    if error.connection_invalidated or (state is None and isinstance(error, OperationalError | InterfaceError)):
        return Fault.CONNECTION
    if state is not None and state.startswith(POSTGRESQL_UNAVAILABLE):
        return Fault.CONNECTION
    return Fault.DEFECT


def _is_of_a_node(state: str | None, error: object) -> bool:
    """Whether a coordinator, to which the connection still stands, reports the loss of a node."""
    diagnostics = getattr(error, "diag", None)
    message = getattr(diagnostics, "message_primary", None) or ""
    if state == INTERNAL_ERROR:
        return message.startswith(NODE_FAILURES)
    is_about_a_node = message.startswith(NODE_CONNECTION_FAILURES) or NODE_CONTEXT in (
        getattr(diagnostics, "context", None) or ""
    )
    return is_about_a_node and state is not None and state.startswith(POSTGRESQL_UNAVAILABLE)


def with_retries(transaction: Callable[[], T], *, chance: Chance, sleep: Callable[[float], None] = time.sleep) -> T:
    """Run a whole transaction, and retry it after a conflict or a lost connection. Raises DatabaseUnavailable when that
    fails, and at once where a node of a distributed database is lost.

    When a connection is lost during COMMIT, it is unknown whether the transaction took effect. The retry is safe,
    because every action recognizes its earlier transaction by the ids in its requests.
    """
    for pause in (*BACKOFF_SECONDS, None):
        try:
            return transaction()
        except (DBAPIError, PoolTimeoutError) as error:
            fault = classify(error)
            if fault is Fault.DEFECT:
                raise
            if fault is Fault.NODE:
                raise DatabaseUnavailable(is_of_one_node=True) from error
            if fault is Fault.UNAVAILABLE or pause is None:
                raise DatabaseUnavailable from error
            sleep(pause * (0.5 + chance()))
    raise AssertionError  # The last pause is None, so the loop has returned or raised.
