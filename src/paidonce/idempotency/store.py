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
from paidonce.idempotency.model import Claim, IdempotencyRecord, StoredResponse

LOCK_NOT_AVAILABLE: Final = "55P03"
# A commit takes milliseconds. Who waits longer waits for a process that has stalled, and every other request with it.
WAIT_MS_MAX: Final = 500

Name = tuple[str, str]
"""A merchant's id, and its key."""

_COLUMNS: Final = [idempotency_key.c[name] for name in IdempotencyRecord.__struct_fields__]
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
        "secret",
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
    wanted = given_rows(
        dialect, "wanted", merchant_id=str, key=str, status=int, resource=str, attempt_id=str, answer=str
    )
    statement = update(idempotency_key).where(
        idempotency_key.c.merchant_id == wanted.c.merchant_id, idempotency_key.c.key == wanted.c.key
    )
    return statement.values(
        status=wanted.c.status,
        resource=wanted.c.resource,
        attempt_id=wanted.c.attempt_id,
        answer=wanted.c.answer,
    )


def _replace_secrets(dialect: str) -> Update:
    wanted = given_rows(dialect, "wanted", merchant_id=str, key=str, old=str, new=str)
    statement = update(idempotency_key).where(
        idempotency_key.c.merchant_id == wanted.c.merchant_id,
        idempotency_key.c.key == wanted.c.key,
        idempotency_key.c.secret == wanted.c.old,  # The key may have been forgotten and claimed anew meanwhile.
    )
    return statement.values(secret=wanted.c.new)


_INSERT: Final = Statement(_insert)
_BY_NAME: Final = Statement(_by_name)
_FORGET: Final = Statement(_forget)
_KEEP: Final = Statement(_keep)
_REPLACE_SECRETS: Final = Statement(_replace_secrets)
_WITH_SECRETS: Final = (
    select(idempotency_key.c.merchant_id, idempotency_key.c.key, idempotency_key.c.secret)
    .where(
        idempotency_key.c.secret.is_not(None),
        tuple_(idempotency_key.c.merchant_id, idempotency_key.c.key)
        > tuple_(bindparam("after_merchant_id"), bindparam("after_key")),
    )
    .order_by(idempotency_key.c.merchant_id, idempotency_key.c.key)
    .limit(bindparam("limit"))
)


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
        "secret": claim.secret,
    }


def read_records(transaction: Transaction, names: Iterable[Name]) -> dict[Name, IdempotencyRecord]:
    """Read what is kept of keys."""
    found = transaction.rows(_BY_NAME, {"wanted": _encode(names)})
    records = [IdempotencyRecord(**dict(zip(IdempotencyRecord.__struct_fields__, row, strict=True))) for row in found]
    return {(record.merchant_id, record.key): record for record in records}


def store_responses(transaction: Transaction, told: Iterable[tuple[Name, StoredResponse]]) -> None:
    """Write what the requests that claimed these keys are answered."""
    wanted = encode_rows(
        {
            "merchant_id": merchant_id,
            "key": key,
            "status": one.status,
            "resource": one.resource,
            "attempt_id": one.attempt_id,
            "answer": one.answer,
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


def read_secrets(transaction: Transaction, *, after: Name, limit: int) -> dict[Name, str]:
    """Read the encrypted secrets that are kept, in the order of their keys, those after a key."""
    found = transaction.rows(_WITH_SECRETS, {"after_merchant_id": after[0], "after_key": after[1], "limit": limit})
    return {(row.merchant_id, row.key): row.secret for row in found}


def replace_secrets(transaction: Transaction, changes: Iterable[tuple[Name, str, str]]) -> None:
    """Put another text in the place of encrypted secrets: for each key the old one, if it still stands, and the new."""
    wanted = ({"merchant_id": name[0], "key": name[1], "old": old, "new": new} for name, old, new in changes)
    transaction.run(_REPLACE_SECRETS, {"wanted": encode_rows(wanted)})


def _encode(names: Iterable[Name]) -> str:
    return encode_rows({"merchant_id": merchant_id, "key": key} for merchant_id, key in names)
