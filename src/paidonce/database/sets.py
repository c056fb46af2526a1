"""Many rows as one parameter, so that a statement over a batch is compiled once, whatever the batch's size."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from sqlalchemy import CTE, BigInteger, Integer, Select, Table, Text, bindparam, cast, column, func, select, true
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.selectable import FromClause

_encode: Final = msgspec.json.Encoder().encode


def given_rows(dialect: str, parameter: str, /, **columns: type[str] | type[int]) -> FromClause:
    """Make a table of the rows in a JSON parameter, to join with: ``given_rows("sqlite", "wanted", id=str)``."""
    types = {name: Text() if kind is str else BigInteger() for name, kind in columns.items()}
    document = bindparam(parameter, type_=Text())
    if dialect == "postgresql":
        made = func.jsonb_to_recordset(cast(document, JSONB)).table_valued(
            *(column(name, kind) for name, kind in types.items())
        )
        return made.render_derived(name=parameter, with_types=True)
    each = func.jsonb_each(document).table_valued("value", name="each")  # A row stays parsed for each of its columns.
    return select(
        *(func.json_extract(each.c.value, f"$.{name}", type_=kind).label(name) for name, kind in types.items())
    ).subquery(parameter)


def insert_given(dialect: str, table: Table, *columns: str) -> postgresql.Insert | sqlite.Insert:
    """Insert the rows in the JSON parameter ``rows``, in the order of the primary key; they name these columns.

    One parameter and not one a value: the driver reads it while other threads run, where filling in each value would
    hold them up (docs/decisions/0018).
    """
    kinds: dict[str, type[str | int]] = {
        name: int if isinstance(table.c[name].type, Integer) else str for name in columns
    }
    given = given_rows(dialect, "rows", **kinds)
    # Without a WHERE, SQLite would take ON CONFLICT for a join's ON.
    wanted = select(*(given.c[name] for name in columns)).where(true())
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    return insert.from_select(list(columns), wanted)


def chosen_once(rows: Select[Any]) -> CTE:
    """Make a table of the rows that a query with a limit chooses, to join with.

    In an ``IN (SELECT … LIMIT n)`` PostgreSQL may run the query again for each row that it looks at: with SKIP LOCKED
    it gets other rows each time, and so more than ``n``.
    """
    return rows.cte("chosen").prefix_with("MATERIALIZED")


def encode_rows(rows: Iterable[Any]) -> str:
    """Encode rows (structs or dicts whose names are the columns') for ``given_rows``."""
    return _encode(list(rows)).decode()
