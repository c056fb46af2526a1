"""The transaction that an action receives: a connection, the current time, and the events to write."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias, overload

from sqlalchemy import Connection, Executable, Row, Table

from paidonce.clock import Instant
from paidonce.database.citus.node_reads import rows_by_node
from paidonce.database.statement import Parameters, Statement

NamedRow: TypeAlias = Row[*tuple[Any, ...]]
"""A row whose values can also be read by column name."""
AnyRow: TypeAlias = NamedRow | tuple[Any, ...]
"""Any row."""


class DueTime(NamedTuple):
    """When a row is due; None where it is not. ``worker`` names which of several workers it is due for, such as that of
    one provider; empty where it is not known, or there is only one.
    """

    at: Instant | None
    worker: str = ""


class DueKey(NamedTuple):
    """The table of rows that are due, and the worker that they are due for."""

    table: str
    worker: str


@dataclass(slots=True)
class Transaction:
    """One transaction. ``events`` are written last, so that merchants' rows are locked for as short a time as possible.

    ``due`` has the earliest times at which rows are due that the transaction wrote, or that it read because they will
    be due soon. ``lost_nodes`` are the nodes of a distributed database that do not respond.
    """

    connection: Connection
    now: Instant
    events: list[Any] = field(default_factory=list)
    due: dict[DueKey, Instant] = field(default_factory=dict)
    lost_nodes: frozenset[str] = frozenset()

    def note_due(self, table: Table, times: Iterable[DueTime]) -> None:
        """Note when rows of a table are due: the commit notifies the workers of that table."""
        for at, worker in times:
            if at is not None:
                key = DueKey(table.name, worker)
                self.due[key] = min(at, self.due.get(key, at))

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
