"""What an action is given: a connection inside one transaction, the present instant, and a place for events."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlalchemy import Connection, Executable, Row

from paidonce.clock import Instant

AnyRow: TypeAlias = Row[*tuple[Any, ...]]
"""A row, whatever its columns."""


@dataclass(slots=True)
class Transaction:
    """One transaction. ``events`` are written last, so that merchants are locked as briefly as can be."""

    connection: Connection
    now: Instant
    events: list[Any] = field(default_factory=list)

    def rows(self, statement: Executable, parameters: Any = None) -> Sequence[AnyRow]:  # noqa: ANN401 - SQLAlchemy's own type
        """Run a statement that returns rows, and return them all."""
        return self.connection.execute(statement, parameters).all()

    def run(self, statement: Executable, parameters: Any = None) -> None:  # noqa: ANN401 - SQLAlchemy's own type
        """Run a statement that returns nothing."""
        self.connection.execute(statement, parameters)
