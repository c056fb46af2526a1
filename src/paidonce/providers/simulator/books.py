"""The provider's own books: a SQLite file that is not ours, so that what we say can be held against what it did."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, bindparam, insert, select, update
from sqlalchemy.dialects import sqlite

from paidonce import ids
from paidonce.clock import Instant
from paidonce.database.engine import Database
from paidonce.database.sets import encode_rows, given_rows
from paidonce.database.transaction import Transaction
from paidonce.providers.simulator.behaviour import change_declined

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
    Column("payment_method", Text, nullable=False),
    Column("status", Text, nullable=False, comment="succeeded, authorized, declined or voided"),
    Column("booked_as", Text, nullable=False, comment="the status with which it was booked"),
    Column("decline_code", Text),
    Column("amount_captured", BigInteger, nullable=False),
    Column("amount_refunded", BigInteger, nullable=False),
    Column("visible_at", BigInteger, nullable=False, comment="look-ups find it from then on"),
    Column("created_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

change = Table(
    "change",
    metadata,
    Column("key", Text, primary_key=True),
    Column("reference", Text, nullable=False, unique=True),
    Column("charge_reference", Text, nullable=False),
    Column("kind", Text, nullable=False, comment="CAPTURE, VOID or REFUND"),
    Column("amount", BigInteger, nullable=False),
    Column("decline_code", Text),
    Column("created_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

refused_call = Table("refused_call", metadata, Column("key", Text, primary_key=True), sqlite_with_rowid=False)


class Charge(msgspec.Struct, frozen=True):
    """A charge as it is booked; amounts are minor units."""

    key: str
    reference: str
    checkout_id: str
    merchant_id: str
    amount: int
    currency: str
    payment_method: str
    status: str
    booked_as: str
    decline_code: str | None
    amount_captured: int
    amount_refunded: int
    visible_at: Instant
    created_at: Instant


class Change(msgspec.Struct, frozen=True):
    """A capture, void or refund as it is booked: done, or declined with a code."""

    key: str
    reference: str
    charge_reference: str
    kind: str
    amount: int
    decline_code: str | None
    created_at: Instant


class BookCharge(msgspec.Struct, frozen=True, kw_only=True):
    """A wish to book a charge; ``hidden_ms`` keeps it from look-ups for a while."""

    key: str
    checkout_id: str
    merchant_id: str
    amount: int
    currency: str
    payment_method: str
    status: str
    decline_code: str | None
    hidden_ms: int


class BookChange(msgspec.Struct, frozen=True, kw_only=True):
    """A wish to change a charge: CAPTURE, VOID or REFUND ``amount`` of it."""

    key: str
    charge_reference: str
    kind: str
    amount: int


class Booked(msgspec.Struct, frozen=True):
    """What the books say of a key, and whether this call was the first."""

    charge: Charge
    first: bool


_WANTED: Final = given_rows("sqlite", "wanted", key=str)
_INSERT: Final = sqlite.insert(charge).on_conflict_do_nothing(index_elements=["key"]).returning(charge.c.key)
_CHARGE: Final = select(*(charge.c[name] for name in Charge.__struct_fields__))
_CHANGE: Final = select(*(change.c[name] for name in Change.__struct_fields__))
_CHARGES_BY_KEY: Final = _CHARGE.where(charge.c.key == _WANTED.c.key)
_CHARGE_BY_REFERENCE: Final = _CHARGE.where(charge.c.reference == bindparam("reference"))
_CHANGE_BY_KEY: Final = _CHANGE.where(change.c.key == bindparam("key"))
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
            "payment_method": one.payment_method,
            "status": one.status,
            "booked_as": one.status,
            "decline_code": one.decline_code,
            "amount_captured": one.amount if one.status == "succeeded" else 0,
            "amount_refunded": 0,
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


def find_operations(transaction: Transaction, keys: Sequence[str]) -> list[Charge | Change | None]:
    """Find charges and changes by key, charges that are still hidden left out."""
    booked = _read(transaction, set(keys))
    return [
        (one if one.visible_at <= transaction.now else None)
        if (one := booked.get(key))
        else _read_change(transaction, key)
        for key in keys
    ]


def _read(transaction: Transaction, keys: Iterable[str]) -> dict[str, Charge]:
    wanted = encode_rows({"key": key} for key in keys)
    return {row.key: Charge(*row) for row in transaction.rows(_CHARGES_BY_KEY, {"wanted": wanted})}


def _read_change(transaction: Transaction, key: str) -> Change | None:
    rows = transaction.rows(_CHANGE_BY_KEY, {"key": key})
    return Change(*rows[0]) if rows else None


def book_changes(transaction: Transaction, requests: Sequence[BookChange]) -> list[Change]:
    """Capture, void and refund, each key once; a key that is booked already is answered as it was booked."""
    return [_read_change(transaction, one.key) or _book_change(transaction, one) for one in requests]


def _book_change(transaction: Transaction, request: BookChange) -> Change:
    found = transaction.rows(_CHARGE_BY_REFERENCE, {"reference": request.charge_reference})
    decline_code = _refusal(Charge(*found[0]), request) if found else "charge_not_found"
    if decline_code is None:
        wanted = update(charge).where(charge.c.reference == request.charge_reference)
        match request.kind:
            case "CAPTURE":
                transaction.run(wanted.values(status="succeeded", amount_captured=request.amount))
            case "VOID":
                transaction.run(wanted.values(status="voided"))
            case _:
                transaction.run(wanted.values(amount_refunded=charge.c.amount_refunded + request.amount))
    booked = Change(
        key=request.key,
        reference=ids.new_id(ids.CHANGE),
        charge_reference=request.charge_reference,
        kind=request.kind,
        amount=request.amount,
        decline_code=decline_code,
        created_at=transaction.now,
    )
    transaction.run(insert(change), msgspec.structs.asdict(booked))
    return booked


def _refusal(booked: Charge, request: BookChange) -> str | None:
    """Tell why a charge cannot be changed like this; None where it can."""
    if request.kind == "REFUND":
        left = booked.amount_captured - booked.amount_refunded
        return "amount_exceeds_charge" if request.amount > left else change_declined(booked.payment_method, "REFUND")
    if booked.status != "authorized":
        return f"charge_is_{booked.status}"
    if request.amount > booked.amount:
        return "amount_exceeds_authorization"
    return change_declined(booked.payment_method, request.kind)


def refuse_first_calls(transaction: Transaction, keys: Sequence[str]) -> list[bool]:
    """Tell of each key whether it is called for the first time, and remember it."""
    answers = []
    for key in keys:
        first = not transaction.rows(_REFUSED, {"key": key})
        if first:
            transaction.run(insert(refused_call), {"key": key})
        answers.append(first)
    return answers
