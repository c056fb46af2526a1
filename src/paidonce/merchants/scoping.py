"""The part of a statement that decides whose resources it finds."""

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Table, and_, bindparam, or_
from sqlalchemy.sql.selectable import FromClause

from paidonce.database.sets import encode_rows, json_rows
from paidonce.database.statement import Row, Statement
from paidonce.database.transaction import Transaction
from paidonce.errors import DatabaseUnavailable, PaidonceError
from paidonce.merchants.model import TenantScopedId


class ScopedName(Protocol):
    """An id, and the merchant that it must belong to; None for any."""

    @property
    def id(self) -> str: ...  # noqa: D102 - a field

    @property
    def merchant_id(self) -> str | None: ...  # noqa: D102 - a field


def wanted_ids(dialect: str) -> FromClause:
    """Return the rows of the parameter ``wanted``, which are ``TenantScopedId``."""
    return json_rows(dialect, "wanted", id=str, merchant_id=str, mode=str)


def is_found(table: Table, wanted: FromClause) -> ColumnElement[bool]:
    """Match a row by its id, where it belongs to the merchant and the mode of a wanted id."""
    return and_(
        table.c.id == wanted.c.id,
        or_(wanted.c.merchant_id.is_(None), table.c.merchant_id == wanted.c.merchant_id),
        or_(wanted.c.mode.is_(None), table.c.mode == wanted.c.mode),
    )


def find_wanted(transaction: Transaction, statement: Statement, wanted: Collection[ScopedName]) -> Sequence[Row]:
    """Read the rows with wanted ids; ``wanted`` is the only parameter of the statement. While a node of a distributed
    database is lost, an id that may be any merchant's is looked for on the others: see ``error_of_missing``.
    """
    parameters = {"wanted": encode_rows(wanted)}
    if all(one.merchant_id is not None for one in wanted):
        return transaction.rows(statement, parameters)  # These are on nodes that respond.
    return transaction.rows_of_living_nodes(statement, parameters)


def read_wanted(transaction: Transaction, statement: Statement, wanted: Collection[ScopedName]) -> Sequence[Row]:
    """Do the same. Raises DatabaseUnavailable where an id is not found that a lost node may store. The id is the first
    column.
    """
    rows = find_wanted(transaction, statement, wanted)
    if transaction.is_partial and {one.id for one in wanted if one.merchant_id is None} - {row[0] for row in rows}:
        raise DatabaseUnavailable(is_of_one_node=True)
    return rows


def error_of_missing(transaction: Transaction, wanted: ScopedName, error: PaidonceError) -> PaidonceError:
    """Return the error for an id that was not found: DatabaseUnavailable where a lost node may store it."""
    is_unknown = transaction.is_partial and wanted.merchant_id is None
    return DatabaseUnavailable(is_of_one_node=True) if is_unknown else error


def is_tenants(table: Table) -> ColumnElement[bool]:
    """Match a row that belongs to the merchant and the mode of the parameters that ``tenant_parameters`` returns."""
    merchant_id = bindparam("of_merchant", type_=table.c.merchant_id.type)
    mode = bindparam("of_mode", type_=table.c.mode.type)
    return and_(
        or_(merchant_id.is_(None), table.c.merchant_id == merchant_id), or_(mode.is_(None), table.c.mode == mode)
    )


def tenant_parameters(wanted: TenantScopedId) -> dict[str, Any]:
    """Return the parameters of ``is_tenants``, and the id as ``wanted_id``."""
    return {"wanted_id": wanted.id, "of_merchant": wanted.merchant_id, "of_mode": wanted.mode}
