"""Shard pruning: a statement that joins given rows says once more which merchants these rows are of.

Citus does not look into a parameter with many rows, and runs a statement that only joins them on every shard. With
``merchant_id = ANY(…)`` it runs on the shards of these merchants. Every table of an inner join and of a subquery has to
be compared with the given rows; those of a left join follow.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from sqlalchemy import Alias, ClauseElement, Column, Table, Text, Tuple, and_, any_, bindparam, or_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression, BindParameter, BooleanClauseList
from sqlalchemy.sql.selectable import Subquery
from sqlalchemy.sql.visitors import iterate, replacement_traverse

from paidonce.database.citus.layout import DISTRIBUTION_COLUMNS

_OF: Final = "_of_each_of_"  # As in "merchant_id_of_each_of_wanted", the name of a parameter.

_read: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode


def prune(statement: ClauseElement) -> ClauseElement:
    """Return a statement with a further condition wherever a distribution column is compared with given rows.

    Given rows are a subquery with the name of the parameter that has them, as ``json_rows`` returns them.
    """

    def pruned(element: Any, **_: object) -> Any:  # noqa: ANN401 - any part of a statement
        found = list(_compared(element))
        return and_(element, *(_is_one_of_each(*pair) for pair in found)) if found else None

    changed: Any = replacement_traverse(statement, {}, pruned)
    return changed  # type: ignore[no-any-return] # of the same class as the statement


def _compared(element: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - any part of a statement
    """Find the distribution columns that a condition compares with columns of given rows."""
    if isinstance(element, BooleanClauseList) and element.operator is operators.or_:
        for one in element.clauses:
            yield from _compared(one)
    elif isinstance(element, BinaryExpression) and element.operator is operators.eq:
        yield from _pair(element.left, element.right)
    elif isinstance(element, BinaryExpression) and element.operator is operators.in_op and _has_rows(element):
        for left, right in zip(element.left.clauses, element.right.element.selected_columns, strict=True):
            yield from _pair(left, right)


def _has_rows(element: BinaryExpression[Any]) -> bool:
    return isinstance(element.left, Tuple) and hasattr(element.right, "element")


def _pair(left: Any, right: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - any expressions
    given = getattr(right, "table", None)
    if not isinstance(left, Column) or not isinstance(given, Subquery):
        return
    if not any(isinstance(one, BindParameter) and one.key == given.name for one in iterate(given)):
        return
    table = left.table.element if isinstance(left.table, Alias) else left.table
    if isinstance(table, Table) and DISTRIBUTION_COLUMNS.get(table.name) == left.name:
        yield left, right


def _is_one_of_each(column: Any, given: Any) -> Any:  # noqa: ANN401 - expressions
    each = bindparam(f"{given.name}{_OF}{given.table.name}", type_=ARRAY(Text()))
    return or_(each.is_(None), column == any_(each))  # None where a row may be anybody's.


def values_of_each(name: str, parameters: Any) -> list[str] | None:  # noqa: ANN401 - the parameters of a statement
    """Return the value of a parameter that ``prune`` has added: what the given rows have in a column, each once."""
    column, _, of = name.partition(_OF)
    found = {row[column] for row in _read(parameters[of])}
    return None if None in found else sorted(found)


def given_rows_of(name: str) -> tuple[str, str]:
    """Return the parameter with the given rows that a parameter of ``prune`` is about, and the column in them."""
    column, _, of = name.partition(_OF)
    return of, column


def is_of_each(name: str) -> bool:
    """Tell whether a parameter is one that ``prune`` has added."""
    return _OF in name
