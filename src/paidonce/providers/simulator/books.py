"""The provider's own books: a SQLite file that is not ours, so that what we say can be held against what it did."""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, bindparam, insert, select
from sqlalchemy.dialects import sqlite

from paidonce import ids
from paidonce.clock import Instant
from paidonce.database.engine import Database
from paidonce.database.sets import encode_rows, given_rows
from paidonce.database.transaction import Transaction

metadata = MetaData()

charge = Table(
    "charge",
    metadata,
    Column("key", Text, primary_key=True),
    Column("reference", Text, nullable=False, unique=True),
    Column("checkout_id", Text, nullable=False),
    Column("merchant_id", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("decline_code", Text),
    Column("visible_at", BigInteger, nullable=False, comment="look-ups find it from then on"),
    Column("created_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

refused_call = Table("refused_call", metadata, Column("key", Text, primary_key=True), sqlite_with_rowid=False)


class Charge(msgspec.Struct, frozen=True):
    """A charge as it is booked: ``succeeded``, ``authorized`` or ``declined``."""

    key: str
    reference: str
    checkout_id: str
    merchant_id: str
    amount: int
    currency: str
    status: str
    decline_code: str | None
    visible_at: Instant
    created_at: Instant


class BookCharge(msgspec.Struct, frozen=True, kw_only=True):
    """A wish to book a charge; ``hidden_ms`` keeps it from look-ups for a while."""

    key: str
    checkout_id: str
    merchant_id: str
    amount: int
    currency: str
    status: str
    decline_code: str | None
    hidden_ms: int


class Booked(msgspec.Struct, frozen=True):
    """What the books say of a key, and whether this call was the first."""

    charge: Charge
    first: bool


_WANTED: Final = given_rows("sqlite", "wanted", key=str)
_INSERT: Final = sqlite.insert(charge).on_conflict_do_nothing(index_elements=["key"]).returning(charge.c.key)
_BY_KEY: Final = select(*(charge.c[name] for name in Charge.__struct_fields__)).where(charge.c.key == _WANTED.c.key)
_REFUSED: Final = select(refused_call.c.key).where(refused_call.c.key == bindparam("key"))


def make_books(database: Database) -> None:
    """Make the tables where they are missing."""
    with database.writes.begin() as connection:
        metadata.create_all(connection)


def book_charges(transaction: Transaction, requests: Sequence[BookCharge]) -> list[Booked]:
    """Book charges, each key once; a key that is booked already is answered as it was booked."""
    rows = [
        {
            "key": one.key,
            "reference": ids.new_id(ids.CHARGE),
            "checkout_id": one.checkout_id,
            "merchant_id": one.merchant_id,
            "amount": one.amount,
            "currency": one.currency,
            "status": one.status,
            "decline_code": one.decline_code,
            "visible_at": transaction.now + one.hidden_ms,
            "created_at": transaction.now,
        }
        for one in requests
    ]
    new = {row.key for row in transaction.rows(_INSERT, rows)}
    booked = _read(transaction, {one.key for one in requests})
    answers = []
    for one in requests:
        answers.append(Booked(booked[one.key], first=one.key in new))
        new.discard(one.key)  # Of several calls of one key in this batch the first is the first.
    return answers


def find_charges(transaction: Transaction, keys: Sequence[str]) -> list[Charge | None]:
    """Find charges by key, those that are still hidden left out."""
    booked = _read(transaction, set(keys))
    return [one if (one := booked.get(key)) and one.visible_at <= transaction.now else None for key in keys]


def _read(transaction: Transaction, keys: set[str]) -> dict[str, Charge]:
    wanted = encode_rows({"key": key} for key in keys)
    return {row.key: Charge(*row) for row in transaction.rows(_BY_KEY, {"wanted": wanted})}


def refuse_first_calls(transaction: Transaction, keys: Sequence[str]) -> list[bool]:
    """Tell of each key whether it is called for the first time, and remember it."""
    answers = []
    for key in keys:
        first = not transaction.rows(_REFUSED, {"key": key})
        if first:
            transaction.run(insert(refused_call), {"key": key})
        answers.append(first)
    return answers
