"""What an action is given: a connection inside one transaction, the present instant, and a place for events."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, overload

from sqlalchemy import Connection, Executable, Row

from paidonce.clock import Instant
from paidonce.database.statement import Parameters, Statement

NamedRow: TypeAlias = Row[*tuple[Any, ...]]
"""A row whose values go by their columns' names too."""
AnyRow: TypeAlias = NamedRow | tuple[Any, ...]
"""A row, whatever its columns."""


@dataclass(slots=True)
class Transaction:
    """One transaction. ``events`` are written last, so that merchants are locked as briefly as can be.

    ``has_deliveries`` says whether any of them is to be delivered to somebody.
    """

    connection: Connection
    now: Instant
    events: list[Any] = field(default_factory=list)
    has_deliveries: bool = False

    @overload
    def rows(self, statement: Statement, parameters: Parameters) -> Sequence[tuple[Any, ...]]: ...
    @overload
    def rows(self, statement: Executable, parameters: Parameters | None = None) -> Sequence[NamedRow]: ...
    def rows(self, statement: Statement | Executable, parameters: Parameters | None = None) -> Sequence[AnyRow]:
        """Run a statement that returns rows, and return them all; a ``Statement``'s are bare tuples."""
        if isinstance(statement, Statement):
            return statement.rows(self.connection, parameters or {})
        return self.connection.execute(statement, parameters).all()

    def column(self, statement: Statement, parameters: Parameters) -> set[Any]:
        """Run a statement that returns one column, and return its values."""
        return {value for (value,) in statement.rows(self.connection, parameters)}

    @overload
    def run(self, statement: Statement, parameters: Parameters) -> None: ...
    @overload
    def run(self, statement: Executable, parameters: object = None) -> None: ...
    def run(self, statement: Statement | Executable, parameters: Any = None) -> None:
        """Run a statement that returns nothing."""
        if isinstance(statement, Statement):
            statement.run(self.connection, parameters)
        else:
            self.connection.execute(statement, parameters)
