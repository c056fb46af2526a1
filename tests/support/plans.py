"""How the database executes statements."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from sqlalchemy import event

from paidonce.database import statement
from paidonce.database.engine import Database
from paidonce.database.statement import execute_on_driver
from paidonce.database.transaction import Transaction


def plans_of(database: Database, work: Callable[[Transaction], object]) -> list[str]:
    """Run something, and return how the database executes each statement of it."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, sql: str, values: Any, *_rest: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        asked.append((sql, values))

    def run_and_note(connection: Any, sql: str, values: Any = ()) -> Any:  # noqa: ANN401 - as it is
        if sql.startswith("SELECT"):
            asked.append((sql, values))
        return execute_on_driver(connection, sql, values)

    event.listen(database.writes, "before_cursor_execute", note)
    with database.write() as transaction:
        with patch.object(statement, "execute_on_driver", run_and_note):
            work(transaction)
        event.remove(database.writes, "before_cursor_execute", note)
        is_sqlite = transaction.connection.dialect.name == "sqlite"
        explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
        return [
            str(execute_on_driver(transaction.connection, f"{explain} {sql}", values).fetchall())
            for sql, values in asked
        ]
