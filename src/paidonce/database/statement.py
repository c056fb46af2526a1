"""Statements that are compiled once for each database and are passed directly to its driver.

Executing a statement through SQLAlchemy costs five times as much as the driver itself, and blocks all other threads
meanwhile (docs/decisions/0021). SQLAlchemy still generates the SQL, keeps the connections, and begins and ends the
transactions.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

from sqlalchemy import ClauseElement, Connection, Dialect
from sqlalchemy.exc import DBAPIError

from paidonce.database.citus.pruning import is_of_each, prune, values_of_each

Parameters: TypeAlias = Mapping[str, Any]
Row: TypeAlias = tuple[Any, ...]


class _Compiled(NamedTuple):
    sql: str
    names: Sequence[str] | None
    """The parameters in the order of their placeholders; None where the driver takes them by name."""
    fixed: Parameters
    """Values that are part of the statement."""
    derived: Sequence[str]
    """Parameters whose values follow from others: see database/citus/pruning.py."""


SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"
CITUS: Final = "citus"
IS_CITUS: Final = "is_citus"  # What the pool remembers of a connection.


def dialect_of(connection: Connection) -> str:
    """Return for which database the statements of a connection are built: SQLITE, POSTGRESQL, or CITUS for a
    PostgreSQL that has the extension Citus, whether or not its tables are distributed.
    """
    name = connection.dialect.name
    return CITUS if name != SQLITE and connection.info.get(IS_CITUS) else name


class Statement:
    """A statement. ``make`` builds it for what ``dialect_of`` returns. It cannot contain a list of variable length
    (``IN``).
    """

    def __init__(self, make: Callable[[str], ClauseElement]) -> None:
        self.make: Final = make
        self._compiled: dict[str, _Compiled] = {}

    def rows(self, connection: Connection, parameters: Parameters) -> list[Row]:
        """Execute the statement and return all rows as tuples; raises DBAPIError."""
        cursor = self._run(connection, parameters)
        try:
            rows: list[Row] = cursor.fetchall()  # SQLite does most of its work here.
        except connection.dialect.loaded_dbapi.Error as error:
            _raise_database_error(connection, cursor, error)
        return rows

    def run(self, connection: Connection, parameters: Parameters) -> None:
        """Execute the statement, which returns no rows; raises DBAPIError."""
        self._run(connection, parameters)

    def prepare(self, connection: Connection, parameters: Parameters) -> tuple[str, Any]:
        """Return the statement in the driver's own syntax, and the values for it."""
        name = dialect_of(connection)
        compiled = self._compiled.get(name) or self._compile(name, connection.dialect)
        given = {**compiled.fixed, **parameters} if compiled.fixed else parameters
        if compiled.derived:
            given = {**given, **{name: values_of_each(name, parameters) for name in compiled.derived}}
        values = given if compiled.names is None else [given[name] for name in compiled.names]
        return compiled.sql, values

    def _run(self, connection: Connection, parameters: Parameters) -> Any:  # noqa: ANN401 - the driver's cursor
        return execute_on_driver(connection, *self.prepare(connection, parameters))

    def _compile(self, name: str, dialect: Dialect) -> _Compiled:
        statement = self.make(name)
        made: Any = (prune(statement) if name == CITUS else statement).compile(dialect=dialect)
        assert "POSTCOMPILE" not in made.string, "the statement contains a list of variable length"
        fixed = {name: bound.effective_value for name, bound in made.binds.items() if not bound.required}
        derived = [name for name in made.binds if is_of_each(name)]
        compiled = self._compiled[name] = _Compiled(made.string, made.positiontup, fixed, derived)
        return compiled


def execute_on_driver(connection: Connection, sql: str, values: object = ()) -> Any:  # noqa: ANN401 - the driver's cursor
    """Execute SQL in the connection's transaction, in the driver's own syntax; raises DBAPIError."""
    cursor: Any = connection.connection.cursor()
    try:
        cursor.execute(sql, values)
    except connection.dialect.loaded_dbapi.Error as error:
        _raise_database_error(connection, cursor, error)
    return cursor


def _raise_database_error(connection: Connection, cursor: Any, error: Exception) -> NoReturn:  # noqa: ANN401 - the driver's cursor
    """Raise a driver's error as SQLAlchemy would, and discard a connection that is lost."""
    dialect = connection.dialect
    driver = connection.connection
    lost = dialect.is_disconnect(error, driver, cursor)  # type: ignore[arg-type] # as SQLAlchemy itself calls it
    if lost:
        connection.invalidate(error)
        connection.engine.dispose()  # The server has most likely closed the other connections too.
    base = dialect.loaded_dbapi.Error
    raise DBAPIError.instance(None, None, error, base, connection_invalidated=lost, dialect=dialect) from error
