"""Changing rows without waiting for another transaction that has locked them and does not end.

PostgreSQL leaves locked rows out of a SELECT with SKIP LOCKED. Citus refuses it where a statement concerns more than
one shard, so there a statement waits, but for a short time only. SQLite has one writer.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from paidonce.database.postgresql_engine import TIME_LIMITS
from paidonce.database.statement import CITUS, dialect_of


class Sortable(Protocol):
    """Anything that has an order."""

    def __lt__(self, other: Any, /) -> bool: ...  # noqa: ANN401 - of the same class


Given = TypeVar("Given", bound=Sortable)
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
    # Not TO DEFAULT: on the workers of Citus that would be another.
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{TIME_LIMITS['lock_timeout']}'")
    return changed


def change_unlocked(
    connection: Connection, rows: Sequence[Given], change: Callable[[Sequence[Given]], Sequence[Changed]]
) -> Sequence[Changed]:
    """Change those of some rows that no other transaction has locked; returns what ``change`` returns.

    On PostgreSQL the caller has locked the rows already, by a SELECT with SKIP LOCKED.
    """
    if not rows:
        return []
    rows = sorted(rows)  # Rows are locked in this order by everybody, so that fewer transactions deadlock.
    if dialect_of(connection) != CITUS:
        return change(rows)
    changed = unless_locked(connection, partial(change, rows), wait_ms=WAIT_MS_MAX)
    if changed is not None:
        return changed
    each = (unless_locked(connection, partial(change, [row]), wait_ms=WAIT_FOR_ONE_MS_MAX) for row in rows)
    return [one for some in each if some is not None for one in some]


def claim_unlocked(
    connection: Connection,
    find: Callable[[int], Sequence[Given]],
    claim: Callable[[Sequence[Given]], Sequence[Changed]],
    *,
    limit: int,
) -> list[Changed]:
    """Find at most ``limit`` rows and claim them. On Citus, look once beyond those that another transaction has locked
    or claimed, so that one that is stalled does not hide what else is due.
    """
    found = find(limit)
    claimed = list(change_unlocked(connection, found, claim))
    if dialect_of(connection) == CITUS and len(claimed) < len(found):
        seen = set(found)
        others = [row for row in find(2 * limit) if row not in seen][: limit - len(claimed)]
        claimed += change_unlocked(connection, others, claim)
    return claimed
