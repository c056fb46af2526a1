"""Statements over idempotency keys."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Delete, Select, Update, bindparam, delete, select, tuple_, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import ReturningInsert

from paidonce.database.schema import idempotency_key
from paidonce.database.sets import encode_rows, given_rows, insert_given
from paidonce.database.statement import Statement
from paidonce.database.transaction import Transaction
from paidonce.idempotency.model import Claim, Record, Told

LOCK_NOT_AVAILABLE: Final = "55P03"
# A commit takes milliseconds. Who waits longer waits for a process that has stalled, and every other request with it.
WAIT_MS_MAX: Final = 500

Name = tuple[str, str]
"""A merchant's id, and its key."""

_COLUMNS: Final = [idempotency_key.c[name] for name in Record.__struct_fields__]
_BY_EXPIRY: Final = (
    select(idempotency_key.c.merchant_id, idempotency_key.c.key)
    .where(idempotency_key.c.expires_at <= bindparam("now"))
    .order_by(idempotency_key.c.expires_at)
    .limit(bindparam("limit"))
)
_FORGET_EXPIRED: Final = (
    delete(idempotency_key)
    .where(tuple_(idempotency_key.c.merchant_id, idempotency_key.c.key).in_(_BY_EXPIRY))
    .returning(idempotency_key.c.key)
)


def _insert(dialect: str) -> ReturningInsert[Any]:
    statement = insert_given(
        dialect,
        idempotency_key,
        "merchant_id",
        "key",
        "claim_id",
        "path",
        "fields",
        "request_id",
        "created_at",
        "expires_at",
    )
    inserted = statement.on_conflict_do_nothing(index_elements=["merchant_id", "key"])
    return inserted.returning(idempotency_key.c.merchant_id, idempotency_key.c.key)


def _by_name(dialect: str) -> Select[Any]:
    wanted = given_rows(dialect, "wanted", merchant_id=str, key=str)
    same = (idempotency_key.c.merchant_id == wanted.c.merchant_id, idempotency_key.c.key == wanted.c.key)
    return select(*_COLUMNS).where(*same)


def _forget(dialect: str) -> Delete:
    wanted = given_rows(dialect, "wanted", merchant_id=str, key=str)
    names = select(wanted.c.merchant_id, wanted.c.key)
    return delete(idempotency_key).where(tuple_(idempotency_key.c.merchant_id, idempotency_key.c.key).in_(names))


def _keep(dialect: str) -> Update:
    wanted = given_rows(dialect, "wanted", merchant_id=str, key=str, status=int, resource=str, attempt_id=str)
    statement = update(idempotency_key).where(
        idempotency_key.c.merchant_id == wanted.c.merchant_id, idempotency_key.c.key == wanted.c.key
    )
    return statement.values(status=wanted.c.status, resource=wanted.c.resource, attempt_id=wanted.c.attempt_id)


_INSERT: Final = Statement(_insert)
_BY_NAME: Final = Statement(_by_name)
_FORGET: Final = Statement(_forget)
_KEEP: Final = Statement(_keep)


def claim_keys(transaction: Transaction, claims: Sequence[Claim]) -> tuple[set[Name], set[Name]]:
    """Claim keys, each once in ``claims``; returns those that are claimed now, and those that another process is
    claiming at this moment and does not let go of. Nobody else can claim them until this transaction has ended.
    """
    # In one order everywhere, so that two processes do not wait for each other.
    claims = sorted(claims, key=lambda claim: claim.name)
    if transaction.connection.dialect.name != "postgresql":
        return _claim(transaction, claims), set()
    claimed = _claim_unless_held(transaction, claims)
    if claimed is not None:
        return claimed, set()
    one_by_one = {claim.name: _claim_unless_held(transaction, [claim]) for claim in claims}
    return (
        {name for name, claimed in one_by_one.items() if claimed},
        {name for name, claimed in one_by_one.items() if claimed is None},
    )


def _claim(transaction: Transaction, claims: Sequence[Claim]) -> set[Name]:
    rows = encode_rows(_row(claim, transaction) for claim in claims)
    return {(merchant_id, key) for merchant_id, key in transaction.rows(_INSERT, {"rows": rows})}


def _claim_unless_held(transaction: Transaction, claims: Sequence[Claim]) -> set[Name] | None:
    """Claim keys; None where one of them is held by a transaction that does not end."""
    try:
        with transaction.connection.begin_nested():
            transaction.connection.exec_driver_sql(f"SET LOCAL lock_timeout = {WAIT_MS_MAX}")
            claimed = _claim(transaction, claims)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        return None
    transaction.connection.exec_driver_sql("SET LOCAL lock_timeout TO DEFAULT")
    return claimed


def _row(claim: Claim, transaction: Transaction) -> dict[str, object]:
    return {
        "merchant_id": claim.merchant_id,
        "key": claim.key,
        "claim_id": claim.id,
        "path": claim.path,
        "fields": msgspec.json.encode(claim.fields).decode(),
        "request_id": claim.request_id,
        "created_at": transaction.now,
        "expires_at": transaction.now + claim.kept_ms,
    }


def read_records(transaction: Transaction, names: Iterable[Name]) -> dict[Name, Record]:
    """Read what is kept of keys."""
    found = transaction.rows(_BY_NAME, {"wanted": _encode(names)})
    records = [Record(**dict(zip(Record.__struct_fields__, row, strict=True))) for row in found]
    return {(record.merchant_id, record.key): record for record in records}


def keep_answers(transaction: Transaction, told: Iterable[tuple[Name, Told]]) -> None:
    """Write what the requests that claimed these keys are answered."""
    wanted = encode_rows(
        {
            "merchant_id": merchant_id,
            "key": key,
            "status": one.status,
            "resource": one.resource,
            "attempt_id": one.attempt_id,
        }
        for (merchant_id, key), one in told
    )
    transaction.run(_KEEP, {"wanted": wanted})


def forget_keys(transaction: Transaction, names: Iterable[Name]) -> None:
    """Make keys free again."""
    transaction.run(_FORGET, {"wanted": _encode(names)})


def forget_expired(transaction: Transaction, limit: int) -> int:
    """Forget at most ``limit`` keys that need be kept no longer; returns how many."""
    return len(transaction.rows(_FORGET_EXPIRED, {"now": transaction.now, "limit": limit}))


def _encode(names: Iterable[Name]) -> str:
    return encode_rows({"merchant_id": merchant_id, "key": key} for merchant_id, key in names)
