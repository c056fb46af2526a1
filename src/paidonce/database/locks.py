"""Changing rows without waiting for another transaction that has locked them and does not end.

PostgreSQL leaves locked rows out of a SELECT with SKIP LOCKED. Citus refuses it where a statement concerns more than
one shard, so there a statement waits, but for a short time only. SQLite has one writer.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from paidonce.database.statement import CITUS, dialect_of

Given = TypeVar("Given")
Changed = TypeVar("Changed")

LOCK_NOT_AVAILABLE: Final = "55P03"
WAIT_MS_MAX: Final = 50  # A commit takes milliseconds.
WAIT_FOR_ONE_MS_MAX: Final = 5  # Where one of many rows is locked: there may be as many waits as rows.


def unless_locked(connection: Connection, change: Callable[[], Changed], *, wait_ms: int) -> Changed | None:
    """Run statements that lock rows of PostgreSQL; returns None, and changes nothing, where another transaction has
    locked one of them for longer than ``wait_ms``.
    """
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {wait_ms}")
            changed = change()
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        return None
    connection.exec_driver_sql("SET LOCAL lock_timeout TO DEFAULT")
    return changed


def change_unlocked(
    connection: Connection, rows: Sequence[Given], change: Callable[[Sequence[Given]], Sequence[Changed]]
) -> Sequence[Changed]:
    """Change those of some rows that no other transaction has locked; returns what ``change`` returns.

    On PostgreSQL the caller has locked the rows already, by a SELECT with SKIP LOCKED.
    """
    if not rows:
        return []
    if dialect_of(connection) != CITUS:
        return change(rows)
    changed = unless_locked(connection, partial(change, rows), wait_ms=WAIT_MS_MAX)
    if changed is not None:
        return changed
    each = (unless_locked(connection, partial(change, [row]), wait_ms=WAIT_FOR_ONE_MS_MAX) for row in rows)
    return [one for some in each if some is not None for one in some]
