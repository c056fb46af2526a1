"""Statements that are compiled once for each database and are passed directly to its driver.

Executing a statement through SQLAlchemy costs five times as much as the driver itself, and blocks all other threads
meanwhile (docs/decisions/0021). SQLAlchemy still generates the SQL, keeps the connections, and begins and ends the
transactions.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

import msgspec
from sqlalchemy import ClauseElement, Connection, Dialect
from sqlalchemy.exc import DBAPIError

from paidonce.database.citus.pruning import given_rows_of, is_of_each, prune, values_of_each
from paidonce.database.citus.shards import PREFIX, SHARDS, NeedsCoordinator, NodeShards, is_of_each_row

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


class OfShards(NamedTuple):
    """A statement that can be executed on shards."""

    compiled: _Compiled
    given: str
    """The parameter with the given rows."""
    column: str
    """Their column with the merchant."""
    is_of_each_row: bool


_decode: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode
_encode: Final = msgspec.json.Encoder().encode

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"
CITUS: Final = "citus"
IS_CITUS: Final = "is_citus"  # What the pool remembers of a connection.


def dialect_of(connection: Connection) -> str:
    """Return for which database the statements of a connection are built: SQLITE, POSTGRESQL, or CITUS for a
    PostgreSQL that has the extension Citus, whether or not its tables are distributed. The shards of a node are tables
    of a plain PostgreSQL.
    """
    name = connection.dialect.name
    return CITUS if name != SQLITE and connection.info.get(IS_CITUS) and SHARDS not in connection.info else name


class Statement:
    """A statement. ``make`` builds it for what ``dialect_of`` returns. It cannot contain a list of variable length
    (``IN``).
    """

    def __init__(self, make: Callable[[str], ClauseElement]) -> None:
        self.make: Final = make
        self._compiled: dict[str, _Compiled] = {}
        self._of_shards: OfShards | None = None

    def rows(self, connection: Connection, parameters: Parameters) -> list[Row]:
        """Execute the statement and return all rows as tuples; raises DBAPIError."""
        shards: NodeShards | None = connection.info.get(SHARDS)
        if shards is None:
            return _fetch(connection, self._run(connection, parameters))
        parts = self._split(connection, shards, parameters)
        return [row for shard, part in parts for row in self.rows_of_shard(connection, shard, part)]

    def rows_of_shard(self, connection: Connection, shard: int, parameters: Parameters) -> list[Row]:
        """Do the same on a shard of the node that the connection is to: all given rows are of its merchants."""
        return _fetch(connection, self._run_on_shard(connection, shard, parameters))

    def run(self, connection: Connection, parameters: Parameters) -> None:
        """Execute the statement, which returns no rows; raises DBAPIError."""
        shards: NodeShards | None = connection.info.get(SHARDS)
        if shards is None:
            self._run(connection, parameters)
            return
        for shard, part in self._split(connection, shards, parameters):
            self._run_on_shard(connection, shard, part)

    def prepare(self, connection: Connection, parameters: Parameters) -> tuple[str, Any]:
        """Return the statement in the driver's own syntax, and the values for it."""
        name = dialect_of(connection)
        compiled = self._compiled.get(name)
        if compiled is None:
            compiled = self._compiled[name] = self._compile(name, connection.dialect)
        given = {**compiled.fixed, **parameters} if compiled.fixed else parameters
        if compiled.derived:
            given = {**given, **{name: values_of_each(name, parameters) for name in compiled.derived}}
        values = given if compiled.names is None else [given[name] for name in compiled.names]
        return compiled.sql, values

    def _run(self, connection: Connection, parameters: Parameters) -> Any:  # noqa: ANN401 - the driver's cursor
        return execute_on_driver(connection, *self.prepare(connection, parameters))

    def _split(
        self, connection: Connection, shards: NodeShards, parameters: Parameters
    ) -> list[tuple[int, Parameters]]:
        """Return the shards that the given rows concern, each with the parameters for its own rows."""
        made = self.for_shards(connection.dialect)
        if not made.given:
            raise NeedsCoordinator
        groups = shards.group(_decode(parameters[made.given]), lambda row: row[made.column])
        if len(groups) == 1:
            return [(groups[0][0], parameters)]
        if not made.is_of_each_row:
            raise NeedsCoordinator
        return [(shard, {**parameters, made.given: _encode(rows).decode()}) for shard, rows in groups]

    def _run_on_shard(self, connection: Connection, shard: int, parameters: Parameters) -> Any:  # noqa: ANN401 - the driver's cursor
        made = self.for_shards(connection.dialect)
        sql = connection.info[SHARDS].name_tables(shard, made.compiled.sql)
        values = {**made.compiled.fixed, **parameters} if made.compiled.fixed else parameters
        return execute_on_driver(connection, sql, values)

    def for_shards(self, dialect: Dialect) -> OfShards:
        """Build the statement for the shards of a node. Its ``given`` is empty where it cannot be executed there."""
        if self._of_shards is None:
            # A statement that Citus prunes by one set of given rows concerns the shards of their merchants only.
            given = {given_rows_of(name) for name in self._compile(CITUS, dialect).derived}
            compiled = self._compile(
                POSTGRESQL, dialect, schema_translate_map={None: PREFIX}, render_schema_translate=True
            )
            name, column = given.pop() if len(given) == 1 else ("", "")
            self._of_shards = OfShards(compiled, name, column, is_of_each_row(compiled.sql))
        return self._of_shards

    def _compile(self, name: str, dialect: Dialect, **options: Any) -> _Compiled:  # noqa: ANN401 - SQLAlchemy's
        statement = self.make(name)
        made: Any = (prune(statement) if name == CITUS else statement).compile(dialect=dialect, **options)
        assert "POSTCOMPILE" not in made.string, "the statement contains a list of variable length"
        fixed = {name: bound.effective_value for name, bound in made.binds.items() if not bound.required}
        derived = [name for name in made.binds if is_of_each(name)]
        return _Compiled(made.string, made.positiontup, fixed, derived)


def _fetch(connection: Connection, cursor: Any) -> list[Row]:  # noqa: ANN401 - the driver's cursor
    try:
        rows: list[Row] = cursor.fetchall()  # SQLite does most of its work here.
    except connection.dialect.loaded_dbapi.Error as error:
        _raise_database_error(connection, cursor, error)
    return rows


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
