"""SQL statements for merchants and API keys."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Select, Update, bindparam, func, select, update
from sqlalchemy.sql.dml import Insert, ReturningInsert

from paidonce.clock import Instant
from paidonce.database.paging import in_page, page_of
from paidonce.database.schema import api_key, merchant
from paidonce.database.sets import encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import Statement
from paidonce.database.transaction import Transaction
from paidonce.merchants.model import OPERATOR, ApiKey, Merchant

_MERCHANT_COLUMNS: Final = [merchant.c[name] for name in Merchant.__struct_fields__]
_KEY_COLUMNS: Final = [api_key.c[name] for name in ApiKey.__struct_fields__]


def _insert_merchants(dialect: str) -> ReturningInsert[Any]:
    statement = insert_json_rows(dialect, merchant, "id", "event_sequence", "created_at")
    return statement.on_conflict_do_nothing(index_elements=["id"]).returning(merchant.c.id)


def _insert_keys(dialect: str) -> Insert:
    statement = insert_json_rows(dialect, api_key, *ApiKey.__struct_fields__)
    # A row with this id is from the same request, in a commit whose result was lost.
    return statement.on_conflict_do_nothing(index_elements=["id", "merchant_id"])


def _merchants_by_id(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", id=str)
    return select(*_MERCHANT_COLUMNS).where(merchant.c.id == wanted.c.id)


def _keys_by_hash(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", hash=str)
    return select(*_KEY_COLUMNS).where(api_key.c.hash == wanted.c.hash)


def _keys_by_id(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", id=str)
    return select(*_KEY_COLUMNS).where(api_key.c.id == wanted.c.id)


def _end_keys(dialect: str) -> Update:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str, revoked_at=int, expires_at=int, replaced_by=str)
    statement = update(api_key).where(
        api_key.c.id == wanted.c.id,
        api_key.c.merchant_id == wanted.c.merchant_id,
        api_key.c.revoked_at.is_(None),
        # A key is replaced once: of two concurrent rotations, one takes effect.
        (wanted.c.replaced_by.is_(None)) | (api_key.c.replaced_by.is_(None)),
    )
    changes = statement.values(
        revoked_at=wanted.c.revoked_at,
        expires_at=func.coalesce(wanted.c.expires_at, api_key.c.expires_at),
        replaced_by=func.coalesce(wanted.c.replaced_by, api_key.c.replaced_by),
    )
    return changes.returning(api_key.c.id)


_INSERT_MERCHANTS: Final = Statement(_insert_merchants)
_INSERT_KEYS: Final = Statement(_insert_keys)
_MERCHANTS_BY_ID: Final = Statement(_merchants_by_id)
_KEYS_BY_HASH: Final = Statement(_keys_by_hash)
_KEYS_BY_ID: Final = Statement(_keys_by_id)
_END_KEYS: Final = Statement(_end_keys)
_MERCHANTS: Final = (
    select(*_MERCHANT_COLUMNS)
    .where(merchant.c.id > bindparam("after"), merchant.c.id >= bindparam("first"), merchant.c.id < bindparam("last"))
    .order_by(merchant.c.id)
    .limit(bindparam("limit"))
)


class KeyEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a key ends: it is revoked now, or it is replaced and expires when the overlap ends."""

    id: str
    merchant_id: str
    revoked_at: Instant | None = None
    expires_at: Instant | None = None
    replaced_by: str | None = None


class KeyFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which keys a page holds, newest first: those of one merchant or of all, and with ``operators`` operator keys
    too.
    """

    limit: int
    operators: bool
    merchant_id: str | None = None
    starting_after: str | None = None
    mode: str | None = None


def insert_merchants(transaction: Transaction, merchant_ids: Iterable[str]) -> set[str]:
    """Insert merchants that do not exist; returns the ids that were inserted."""
    rows = [
        {"id": merchant_id, "event_sequence": 0, "created_at": transaction.now} for merchant_id in sorted(merchant_ids)
    ]
    return transaction.column(_INSERT_MERCHANTS, {"rows": encode_rows(rows)})


def read_merchants(transaction: Transaction, merchant_ids: Collection[str]) -> dict[str, Merchant]:
    """Read merchants by id. Missing ones are left out."""
    wanted = encode_rows({"id": one} for one in merchant_ids)
    rows = transaction.rows(_MERCHANTS_BY_ID, {"wanted": wanted})
    return {one.id: one for one in (Merchant(*row) for row in rows)}


def read_merchant_page(transaction: Transaction, *, after: str, prefix: str, limit: int) -> tuple[list[Merchant], bool]:
    """Read a page of merchants in the order of ids, and whether there is a next page."""
    # Ids are compared by bytes and are printable ASCII, so that the last character of Unicode follows all of them.
    wanted = {"after": after, "first": prefix, "last": f"{prefix}\U0010ffff", "limit": limit + 1}
    found = [Merchant(*row) for row in transaction.rows(_MERCHANTS, wanted)]
    return page_of(found, limit=limit)


def insert_keys(transaction: Transaction, keys: Iterable[ApiKey]) -> None:
    """Insert keys."""
    transaction.run(_INSERT_KEYS, {"rows": encode_rows(keys)})


def read_keys_by_hash(transaction: Transaction, hashes: Iterable[str]) -> dict[str, ApiKey]:
    """Read keys by the hashes of their secrets. Missing ones are left out."""
    wanted = encode_rows({"hash": one} for one in hashes)
    rows = transaction.rows_of_living_nodes(_KEYS_BY_HASH, {"wanted": wanted})
    return {one.hash: one for one in map(_api_key, rows)}


def read_keys(transaction: Transaction, key_ids: Iterable[str]) -> dict[str, ApiKey]:
    """Read keys by id. Missing ones are left out."""
    wanted = encode_rows({"id": one} for one in key_ids)
    rows = transaction.rows(_KEYS_BY_ID, {"wanted": wanted})
    return {one.id: one for one in map(_api_key, rows)}


def read_key_page(transaction: Transaction, wanted: KeyFilter) -> tuple[list[ApiKey], bool]:
    """Read a page of keys, newest first, and whether there is a next page."""
    keys = select(*_KEY_COLUMNS)
    statement = in_page(keys, api_key.c.id, limit=wanted.limit, starting_after=wanted.starting_after)
    if not wanted.operators:
        statement = statement.where(api_key.c.merchant_id != OPERATOR)
    if wanted.merchant_id is not None:
        statement = statement.where(api_key.c.merchant_id == wanted.merchant_id)
    if wanted.mode is not None:
        statement = statement.where(api_key.c.mode == wanted.mode)
    return page_of([_api_key(row) for row in transaction.rows(statement)], limit=wanted.limit)


def end_keys(transaction: Transaction, ends: Sequence[KeyEnd]) -> set[str]:
    """End keys that are not revoked and, for a rotation, not replaced; returns the ids of those that were ended."""
    if not ends:
        return set()
    return transaction.column(_END_KEYS, {"wanted": encode_rows(ends)})


def _api_key(row: Sequence[Any]) -> ApiKey:
    return ApiKey(**dict(zip(ApiKey.__struct_fields__, row, strict=True)))
