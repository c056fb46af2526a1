"""The part of a statement that decides whose resources it finds."""

from typing import Any

from sqlalchemy import ColumnElement, Table, and_, bindparam, or_
from sqlalchemy.sql.selectable import FromClause

from paidonce.database.sets import json_rows
from paidonce.merchants.model import TenantScopedId


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
