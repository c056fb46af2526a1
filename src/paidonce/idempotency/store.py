"""SQL statements for idempotency keys."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Delete, Select, Update, and_, bindparam, delete, select, tuple_, update
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.sql.selectable import FromClause

from paidonce.database.locks import unless_locked
from paidonce.database.schema import idempotency_key
from paidonce.database.sets import RowsInsert, encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import Statement
from paidonce.database.transaction import Transaction
from paidonce.idempotency.model import Claim, IdempotencyRecord, ScopedKey, StoredResponse

# A commit takes milliseconds. A longer wait is for a stalled process, and would block all requests of the batch.
WAIT_MS_MAX: Final = 500

_NAME: Final = [idempotency_key.c[name] for name in ScopedKey.__struct_fields__]
_COLUMNS: Final = [idempotency_key.c[name] for name in IdempotencyRecord.__struct_fields__]
_BY_EXPIRY: Final = (
    select(*_NAME)
    .where(idempotency_key.c.expires_at <= bindparam("now"))
    .order_by(idempotency_key.c.expires_at)
    .limit(bindparam("limit"))
)
_DELETE_EXPIRED: Final = delete(idempotency_key).where(tuple_(*_NAME).in_(_BY_EXPIRY)).returning(idempotency_key.c.key)


def _wanted(dialect: str, **more: type[str] | type[int]) -> FromClause:
    return json_rows(dialect, "wanted", merchant_id=str, mode=str, key=str, **more)


def _is_same(wanted: FromClause) -> ColumnElement[bool]:
    return and_(*(column == wanted.c[column.name] for column in _NAME))


def _insert(dialect: str, merchants_exist: bool) -> ReturningInsert[Any]:  # noqa: FBT001 - as RowsInsert calls it
    statement = insert_json_rows(
        dialect,
        idempotency_key,
        *ScopedKey.__struct_fields__,
        "claim_id",
        "path",
        "fields",
        "request_id",
        "created_at",
        "expires_at",
        "secret",
        merchants_exist=merchants_exist,
    )
    return statement.on_conflict_do_nothing(index_elements=ScopedKey.__struct_fields__).returning(*_NAME)


def _by_name(dialect: str) -> Select[Any]:
    wanted = _wanted(dialect)
    return select(*_COLUMNS).where(_is_same(wanted))


def _delete(dialect: str) -> Delete:
    wanted = _wanted(dialect)
    return delete(idempotency_key).where(tuple_(*_NAME).in_(select(wanted)))


def _store_responses(dialect: str) -> Update:
    wanted = _wanted(dialect, status=int, resource=str, attempt_id=str, answer=str)
    statement = update(idempotency_key).where(_is_same(wanted))
    return statement.values(
        status=wanted.c.status,
        resource=wanted.c.resource,
        attempt_id=wanted.c.attempt_id,
        answer=wanted.c.answer,
    )


def _replace_secrets(dialect: str) -> Update:
    wanted = _wanted(dialect, old=str, new=str)
    statement = update(idempotency_key).where(
        _is_same(wanted),
        idempotency_key.c.secret == wanted.c.old,  # The key may have been deleted and claimed again.
    )
    return statement.values(secret=wanted.c.new)


_INSERT: Final = RowsInsert(
    _insert, lambda row: tuple(row[column.name] for column in _NAME), lambda row: row["merchant_id"]
)
_BY_NAME: Final = Statement(_by_name)
_DELETE: Final = Statement(_delete)
_STORE_RESPONSES: Final = Statement(_store_responses)
_REPLACE_SECRETS: Final = Statement(_replace_secrets)
_WITH_SECRETS: Final = (
    select(*_NAME, idempotency_key.c.secret)
    .where(
        idempotency_key.c.secret.is_not(None),
        tuple_(*_NAME) > tuple_(*(bindparam(f"after_{name}") for name in ScopedKey.__struct_fields__)),
    )
    .order_by(*_NAME)
    .limit(bindparam("limit"))
)


def claim_keys(transaction: Transaction, claims: Sequence[Claim]) -> tuple[set[ScopedKey], set[ScopedKey]]:
    """Claim keys, each of which is in ``claims`` once.

    Returns the keys that are claimed now, and the keys that another transaction is claiming and has locked. Until this
    transaction ends, nobody else can claim them.
    """
    # Always in the same order, so that two processes do not deadlock.
    claims = sorted(claims, key=lambda claim: claim.name)
    if transaction.connection.dialect.name != "postgresql":
        return _claim(transaction, claims), set()
    claimed = _claim_unless_locked(transaction, claims)
    if claimed is not None:
        return claimed, set()
    one_by_one = {claim.name: _claim_unless_locked(transaction, [claim]) for claim in claims}
    return (
        {name for name, claimed in one_by_one.items() if claimed},
        {name for name, claimed in one_by_one.items() if claimed is None},
    )


def _claim(transaction: Transaction, claims: Sequence[Claim]) -> set[ScopedKey]:
    rows = [_row(claim, transaction) for claim in claims]
    return {ScopedKey(*name) for name in _INSERT.rows(transaction.connection, rows)}


def _claim_unless_locked(transaction: Transaction, claims: Sequence[Claim]) -> set[ScopedKey] | None:
    """Claim keys; returns None where another transaction has locked one of them and does not end."""
    return unless_locked(transaction.connection, lambda: _claim(transaction, claims), wait_ms=WAIT_MS_MAX)


def _row(claim: Claim, transaction: Transaction) -> dict[str, object]:
    return {
        **_columns(claim.name),
        "claim_id": claim.id,
        "path": claim.path,
        "fields": msgspec.json.encode(claim.fields).decode(),
        "request_id": claim.request_id,
        "created_at": transaction.now,
        "expires_at": transaction.now + claim.retention_ms,
        "secret": claim.secret,
    }


def read_records(transaction: Transaction, names: Iterable[ScopedKey]) -> dict[ScopedKey, IdempotencyRecord]:
    """Read the records of keys."""
    found = transaction.rows(_BY_NAME, {"wanted": encode_rows(names)})
    records = [IdempotencyRecord(**dict(zip(IdempotencyRecord.__struct_fields__, row, strict=True))) for row in found]
    return {record.name: record for record in records}


def store_responses(transaction: Transaction, responses: Iterable[tuple[ScopedKey, StoredResponse]]) -> None:
    """Store the responses of the requests that claimed these keys."""
    wanted = encode_rows(
        {
            **_columns(name),
            "status": one.status,
            "resource": one.resource,
            "attempt_id": one.attempt_id,
            "answer": one.answer,
        }
        for name, one in responses
    )
    transaction.run(_STORE_RESPONSES, {"wanted": wanted})


def delete_keys(transaction: Transaction, names: Iterable[ScopedKey]) -> None:
    """Delete keys, which may then be claimed again."""
    transaction.run(_DELETE, {"wanted": encode_rows(names)})


def delete_expired(transaction: Transaction, limit: int) -> int:
    """Delete at most ``limit`` expired keys; returns how many."""
    return len(transaction.rows(_DELETE_EXPIRED, {"now": transaction.now, "limit": limit}))


def read_secrets(transaction: Transaction, *, after: ScopedKey, limit: int) -> dict[ScopedKey, str]:
    """Read encrypted secrets in the order of their keys, starting after a key."""
    position = {f"after_{name}": value for name, value in _columns(after).items()}
    found = transaction.rows(_WITH_SECRETS, {**position, "limit": limit})
    return {ScopedKey(*row[:-1]): row.secret for row in found}


def replace_secrets(transaction: Transaction, changes: Iterable[tuple[ScopedKey, str, str]]) -> None:
    """Replace encrypted secrets. Each change is a key, the old text, which must still be stored, and the new text."""
    wanted = ({**_columns(name), "old": old, "new": new} for name, old, new in changes)
    transaction.run(_REPLACE_SECRETS, {"wanted": encode_rows(wanted)})


def _columns(name: ScopedKey) -> dict[str, str]:
    return msgspec.structs.asdict(name)
