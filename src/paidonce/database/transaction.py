"""The transaction that an action receives: a connection, the current time, and the events to write."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, overload

from sqlalchemy import Connection, Executable, Row

from paidonce.clock import Instant
from paidonce.database.node_reads import rows_by_node
from paidonce.database.statement import Parameters, Statement

NamedRow: TypeAlias = Row[*tuple[Any, ...]]
"""A row whose values can also be read by column name."""
AnyRow: TypeAlias = NamedRow | tuple[Any, ...]
"""Any row."""


@dataclass(slots=True)
class Transaction:
    """One transaction. ``events`` are written last, so that merchants' rows are locked for as short a time as possible.

    ``has_deliveries`` says whether any of the events has to be delivered to a webhook endpoint. ``lost_nodes`` are the
    nodes of a distributed database that do not respond.
    """

    connection: Connection
    now: Instant
    events: list[Any] = field(default_factory=list)
    has_deliveries: bool = False
    lost_nodes: frozenset[str] = frozenset()

    @property
    def is_partial(self) -> bool:
        """Whether ``rows_of_living_nodes`` leaves out what is stored on nodes that do not respond."""
        return bool(self.lost_nodes)

    def rows_of_living_nodes(self, statement: Statement, parameters: Parameters) -> Sequence[tuple[Any, ...]]:
        """Read rows of any merchants. Where nodes of a distributed database are lost, each of the others is asked for
        its own rows, in turns: an order and a limit then hold for each node.
        """
        if not self.lost_nodes:
            return self.rows(statement, parameters)
        return rows_by_node(self.connection, statement, parameters, lost_nodes=self.lost_nodes)

    @overload
    def rows(self, statement: Statement, parameters: Parameters) -> Sequence[tuple[Any, ...]]: ...
    @overload
    def rows(self, statement: Executable, parameters: Parameters | None = None) -> Sequence[NamedRow]: ...
    def rows(self, statement: Statement | Executable, parameters: Parameters | None = None) -> Sequence[AnyRow]:
        """Execute a statement and return all of its rows. Those of a ``Statement`` are plain tuples."""
        if isinstance(statement, Statement):
            return statement.rows(self.connection, parameters or {})
        return self.connection.execute(statement, parameters).all()

    def column(self, statement: Statement, parameters: Parameters) -> set[Any]:
        """Execute a statement that returns one column, and return its values."""
        return {value for (value,) in statement.rows(self.connection, parameters)}

    @overload
    def run(self, statement: Statement, parameters: Parameters) -> None: ...
    @overload
    def run(self, statement: Executable, parameters: object = None) -> None: ...
    def run(self, statement: Statement | Executable, parameters: Any = None) -> None:
        """Execute a statement that returns no rows."""
        if isinstance(statement, Statement):
            statement.run(self.connection, parameters)
        else:
            self.connection.execute(statement, parameters)
