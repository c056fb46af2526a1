"""Passes many rows as one JSON parameter, so that a batch statement is compiled once for all batch sizes."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from sqlalchemy import (
    CTE,
    BigInteger,
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

from paidonce.database.statement import CITUS, POSTGRESQL, SQLITE

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
    each = func.jsonb_each(document).table_valued("value", name="each")  # A row is parsed only once.
    return select(
        *(func.json_extract(each.c.value, f"$.{name}", type_=kind).label(name) for name, kind in types.items())
    ).subquery(parameter)


def insert_json_rows(dialect: str, table: Table, *columns: str) -> postgresql.Insert | sqlite.Insert:
    """Insert the rows of the JSON parameter ``rows``, which have these columns, in the order of the primary key.

    There is one parameter instead of one for each value. The driver reads it without the interpreter lock, whereas
    binding each value would block the other threads (docs/decisions/0018).
    """
    kinds: dict[str, type[str | int]] = {
        name: int if isinstance(table.c[name].type, Integer) else str for name in columns
    }
    given = json_rows(dialect, "rows", **kinds)
    # Without a WHERE clause, SQLite would parse ON CONFLICT as the ON of a join.
    wanted = select(*(given.c[name] for name in columns)).where(true())
    insert = sqlite.insert(table) if dialect == SQLITE else postgresql.insert(table)
    return insert.from_select(list(columns), wanted)


def materialized(rows: Select[Any]) -> CTE:
    """Return the rows that a query with a limit selects, as a table to join with.

    In ``IN (SELECT … LIMIT n)`` PostgreSQL may run the subquery again for each row. With SKIP LOCKED it gets different
    rows each time, and so more than ``n`` in total.
    """
    return rows.cte("chosen").prefix_with("MATERIALIZED")


def encode_rows(rows: Iterable[Any]) -> str:
    """Encode rows for ``json_rows``: structs or dicts whose field names are the column names."""
    return _encode(list(rows)).decode()
