"""Statements that make rows due. Each is executed together with the due times, and the commit wakes the workers."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Table

from paidonce.database.sets import RowsInsert
from paidonce.database.statement import Parameters, Row, Statement
from paidonce.database.transaction import DueTime, Transaction

LOOK_AHEAD_MS: Final = 6000  # A poll also reads what is due by then: longer than a poller sleeps by default.


class MakesDue:
    """A statement that writes when rows of a table are due. ``due`` names these times, or earlier ones."""

    def __init__(self, table: Table, statement: Statement) -> None:
        self.table: Final = table
        self.statement: Final = statement

    def rows(self, transaction: Transaction, parameters: Parameters, due: Iterable[DueTime]) -> list[Row]:
        """Execute the statement and return all rows; raises DBAPIError."""
        transaction.note_due(self.table, due)
        return self.statement.rows(transaction.connection, parameters)

    def run(self, transaction: Transaction, parameters: Parameters, due: Iterable[DueTime]) -> None:
        """Execute the statement, which returns no rows; raises DBAPIError."""
        transaction.note_due(self.table, due)
        self.statement.run(transaction.connection, parameters)


class InsertsDue:
    """The same for a statement that inserts given rows."""

    def __init__(self, table: Table, statement: RowsInsert) -> None:
        self.table: Final = table
        self.statement: Final = statement

    def rows(self, transaction: Transaction, rows: Sequence[Any], due: Iterable[DueTime]) -> list[Row]:
        """Insert rows; returns what was written of those that were not left out. Raises DBAPIError."""
        transaction.note_due(self.table, due)
        return self.statement.rows(transaction.connection, rows)
