"""Passes many rows as one JSON parameter, so that a batch statement is compiled once for all batch sizes."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    CTE,
    BigInteger,
    ClauseElement,
    ColumnElement,
    Connection,
    Integer,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.sql.selectable import FromClause

from paidonce.database.citus.shards import SHARDS, NodeShards
from paidonce.database.schema import merchant
from paidonce.database.statement import CITUS, POSTGRESQL, SQLITE, Statement, dialect_of

_encode: Final = msgspec.json.Encoder().encode


def json_rows(dialect: str, parameter: str, /, **columns: type[str] | type[int]) -> FromClause:
    """Return the rows of a JSON parameter as a table to join with: ``json_rows("sqlite", "wanted", id=str)``."""
    types = {name: Text() if kind is str else BigInteger() for name, kind in columns.items()}
    document = bindparam(parameter, type_=Text())
    if dialect == POSTGRESQL:
        made = func.json_to_recordset(cast(document, JSON)).table_valued(
            *(column(name, kind) for name, kind in types.items())
        )
        return made.render_derived(name=parameter, with_types=True)
    if dialect == CITUS:
        # Immutable, unlike json_to_recordset: so Citus passes it to the workers. Otherwise it would send its rows to
        # all of them first, and INSERT … SELECT would read them on the coordinator.
        one = func.jsonb_array_elements(cast(document, JSONB)).table_valued(column("value", JSONB), name="each")
        values = {name: one.c.value.op("->>", return_type=Text())(literal_column(f"'{name}'")) for name in types}
        return select(*(cast(values[name], kind).label(name) for name, kind in types.items())).subquery(parameter)
    assert dialect == SQLITE, f"no database is called {dialect}"
    each = func.jsonb_each(document).table_valued("value", name="each")  # A row is parsed only once.
    return select(
        *(func.json_extract(each.c.value, f"$.{name}", type_=kind).label(name) for name, kind in types.items())
    ).subquery(parameter)


def insert_json_rows(
    dialect: str, table: Table, *columns: str, merchants_exist: bool = False
) -> postgresql.Insert | sqlite.Insert:
    """Insert the rows of the JSON parameter ``rows``, which have these columns, in the order of the primary key.

    There is one parameter instead of one for each value. The driver reads it without the interpreter lock, whereas
    binding each value would block the other threads (docs/decisions/0018).

    With ``merchants_exist``, Citus inserts on the nodes of the merchants, by a join with their rows: a row whose
    merchant has none is left out there. Without it, all rows pass through the coordinator.
    """
    kinds: dict[str, type[str | int]] = {
        name: int if isinstance(table.c[name].type, Integer) else str for name in columns
    }
    given = json_rows(dialect, "rows", **kinds)
    values = {name: given.c[name] for name in columns}
    # Without a WHERE clause, SQLite would parse ON CONFLICT as the ON of a join.
    condition: ColumnElement[bool] = true()
    if merchants_exist and dialect == CITUS:
        values["merchant_id"] = merchant.c.id
        condition = merchant.c.id == given.c.merchant_id
    insert = sqlite.insert(table) if dialect == SQLITE else postgresql.insert(table)
    return insert.from_select(list(columns), select(*values.values()).where(condition))


class RowsInsert:
    """A statement that inserts given rows, and returns a name of each row that it writes before other columns.

    ``make`` builds it for a dialect, and for whether the merchants of all rows exist. On Citus it is executed as if
    they did, and again for the rows of merchants that do not. ``name_of`` returns the name of a given row, and
    ``merchant_of`` the id of its merchant.
    """

    def __init__(
        self,
        make: Callable[[str, bool], ClauseElement],
        name_of: Callable[[Any], tuple[Any, ...]] = lambda row: (row.id,),
        merchant_of: Callable[[Any], str] = lambda row: row.merchant_id,
    ) -> None:
        self.of_known: Final = Statement(lambda dialect: make(dialect, True))  # noqa: FBT003 - of two
        self.of_any: Final = Statement(lambda dialect: make(dialect, False))  # noqa: FBT003 - of two
        self._name_of: Final = name_of
        self._merchant_of: Final = merchant_of

    def rows(self, connection: Connection, rows: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Insert rows; returns what was written of those that were not left out. Raises DBAPIError."""
        shards: NodeShards | None = connection.info.get(SHARDS)
        if shards is not None:
            return [
                written
                for shard, some in shards.group(rows, self._merchant_of)
                for written in self.of_any.rows_of_shard(connection, shard, {"rows": encode_rows(some)})
            ]
        if dialect_of(connection) != CITUS:
            return self.of_any.rows(connection, {"rows": encode_rows(rows)})
        found = self.of_known.rows(connection, {"rows": encode_rows(rows)})
        if len(found) == len(rows):
            return found
        names = {row[: len(self._name_of(rows[0]))] for row in found}
        left = [row for row in rows if self._name_of(row) not in names]
        wanted = encode_rows({"id": one} for one in {self._merchant_of(row) for row in left})
        existing = {merchant_id for (merchant_id,) in _EXISTING.rows(connection, {"wanted": wanted})}
        # A row whose merchant exists was there before, or its merchant was not yet when the statement began.
        for statement, exists in ((self.of_known, True), (self.of_any, False)):
            some = [row for row in left if (self._merchant_of(row) in existing) is exists]
            found += statement.rows(connection, {"rows": encode_rows(some)}) if some else []
        return found


def _existing(dialect: str) -> Select[Any]:
    return select(merchant.c.id).where(merchant.c.id == json_rows(dialect, "wanted", id=str).c.id)


_EXISTING: Final = Statement(_existing)


def materialized(rows: Select[Any]) -> CTE:
    """Return the rows that a query with a limit selects, as a table to join with.

    In ``IN (SELECT … LIMIT n)`` PostgreSQL may run the subquery again for each row. With SKIP LOCKED it gets different
    rows each time, and so more than ``n`` in total.
    """
    return rows.cte("chosen").prefix_with("MATERIALIZED")


def encode_rows(rows: Iterable[Any]) -> str:
    """Encode rows for ``json_rows``: structs or dicts whose field names are the column names."""
    return _encode(list(rows)).decode()
