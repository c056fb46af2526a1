"""What a database error means: try again, let the client come back, or a fault of ours. One retry wrapper."""

import time
from collections.abc import Callable
from enum import Enum
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError as PoolTimeoutError

from paidonce.errors import DatabaseUnavailable
from paidonce.ids import Chance

T = TypeVar("T")

# Serialization failure, deadlock, lock not available: the transaction was rolled back and may simply run again.
POSTGRESQL_CONFLICTS: Final = frozenset({"40001", "40P01", "55P03"})
# Connection exception, insufficient resources, operator intervention, system error; 25006: read only after a failover.
POSTGRESQL_UNAVAILABLE: Final = ("08", "53", "57", "58", "25006")
# A statement over its time limit: to run it again would keep the client waiting as long again.
POSTGRESQL_TOO_SLOW: Final = frozenset({"57014"})
SQLITE_CONFLICTS: Final = frozenset({5, 6})  # BUSY, LOCKED
SQLITE_UNAVAILABLE: Final = frozenset({7, 8, 10, 11, 13, 14, 26})  # NOMEM READONLY IOERR CORRUPT FULL CANTOPEN NOTADB

BACKOFF_SECONDS: Final = (0.0, 0.05, 0.2, 0.5)  # Under a second in all: a client waits for it.


class Fault(Enum):
    """What to do about a database error."""

    CONFLICT = "run it again"
    CONNECTION = "reconnect and run it again"
    UNAVAILABLE = "give up, nothing is acknowledged"
    OURS = "a defect or bad data: no repetition helps"


def classify(error: Exception) -> Fault:
    """Tell what a database error means, by SQLSTATE or SQLite's result code."""
    if isinstance(error, PoolTimeoutError):
        return Fault.UNAVAILABLE
    if not isinstance(error, DBAPIError):
        return Fault.OURS
    code = getattr(error.orig, "sqlite_errorcode", None)
    if isinstance(code, int):
        primary = code & 0xFF
        if primary in SQLITE_CONFLICTS:
            return Fault.CONFLICT
        return Fault.UNAVAILABLE if primary in SQLITE_UNAVAILABLE else Fault.OURS
    state = getattr(error.orig, "sqlstate", None)
    if state in POSTGRESQL_CONFLICTS:
        return Fault.CONFLICT
    if state in POSTGRESQL_TOO_SLOW:
        return Fault.UNAVAILABLE
    # Without a state it is the driver's own: of a connection, or of a value that it does not take.
    if error.connection_invalidated or (state is None and isinstance(error, OperationalError | InterfaceError)):
        return Fault.CONNECTION
    if state is not None and state.startswith(POSTGRESQL_UNAVAILABLE):
        return Fault.CONNECTION
    return Fault.OURS


def with_retries(work: Callable[[], T], *, chance: Chance, sleep: Callable[[float], None] = time.sleep) -> T:
    """Run a whole transaction, again after a conflict or a lost connection; raises DatabaseUnavailable when that fails.

    A connection that is lost during COMMIT leaves it unknown whether the transaction took place. Running it again is
    right all the same, because every action knows its own earlier work by the ids that its request carries.
    """
    for pause in (*BACKOFF_SECONDS, None):
        try:
            return work()
        except (DBAPIError, PoolTimeoutError) as error:
            fault = classify(error)
            if fault is Fault.OURS:
                raise
            if fault is Fault.UNAVAILABLE or pause is None:
                raise DatabaseUnavailable from error
            sleep(pause * (0.5 + chance()))
    raise AssertionError  # The last pause is None, so the loop has returned or raised.
