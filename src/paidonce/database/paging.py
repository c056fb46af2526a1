"""Pages of lists whose cursor is the id of a row. One row more than a page may have tells whether there is more."""

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select

Item = TypeVar("Item")


def in_page(
    statement: Select[Any],
    id_column: ColumnElement[str],
    *,
    limit: int,
    starting_after: str | None = None,
    ending_before: str | None = None,
) -> Select[Any]:
    """Select the rows of a page, newest first; with ``ending_before`` those that are just newer, oldest first."""
    if starting_after is not None:
        statement = statement.where(id_column < starting_after)
    if ending_before is not None:
        statement = statement.where(id_column > ending_before)
    order = id_column.desc() if ending_before is None else id_column.asc()
    return statement.order_by(None).order_by(order).limit(limit + 1)


def page_of(found: Sequence[Item], *, limit: int, is_reversed: bool = False) -> tuple[list[Item], bool]:
    """Return the page of what was read, and whether more lies beyond it. What ``is_reversed`` was read backwards."""
    page = list(found[:limit])
    return (page[::-1] if is_reversed else page), len(found) > limit
