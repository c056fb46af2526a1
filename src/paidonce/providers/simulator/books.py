"""The provider's own books: a SQLite file that is not ours, so that what we say can be held against what it did.

A key is no primary key: a provider that does not deduplicate, or has forgotten a key, books it once more.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    exists,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import sqlite

from paidonce import ids
from paidonce.clock import Instant
from paidonce.database.engine import Database
from paidonce.database.sets import encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import Statement
from paidonce.database.transaction import Transaction
from paidonce.providers.simulator.behaviour import capture_within_ms, change_declined

metadata = MetaData()

charge = Table(
    "charge",
    metadata,
    Column("key", Text, nullable=False),
    Column("reference", Text, primary_key=True),
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
    Index("charge_by_key", "key"),
    sqlite_with_rowid=False,
)

change = Table(
    "change",
    metadata,
    Column("key", Text, nullable=False),
    Column("reference", Text, primary_key=True),
    Column("charge_reference", Text, nullable=False),
    Column("kind", Text, nullable=False, comment="CAPTURE, VOID or REFUND"),
    Column("amount", BigInteger, nullable=False),
    Column("decline_code", Text),
    Column("created_at", BigInteger, nullable=False),
    Index("change_by_key", "key"),
    sqlite_with_rowid=False,
)

call = Table(
    "call",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("count", Integer, nullable=False),
    sqlite_with_rowid=False,
)


class Charge(msgspec.Struct, frozen=True):
    """A booked charge. Amounts are in minor units."""

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


class NewCharge(Charge, frozen=True):
    """A charge to book, unless its key was booked since ``forgotten_until``."""

    forgotten_until: Instant


class Change(msgspec.Struct, frozen=True):
    """A booked capture, void or refund: done, or declined with a code."""

    key: str
    reference: str
    charge_reference: str
    kind: str
    amount: int
    decline_code: str | None
    created_at: Instant


class BookCharge(msgspec.Struct, frozen=True, kw_only=True):
    """A request to book a charge; ``hidden_ms`` keeps it from look-ups for a while.

    A key that was booked less than ``key_lifetime_ms`` ago is answered as it was booked then.
    """

    key: str
    checkout_id: str
    merchant_id: str
    amount: int
    currency: str
    payment_method: str
    status: str
    decline_code: str | None
    hidden_ms: int
    key_lifetime_ms: int


class BookChange(msgspec.Struct, frozen=True, kw_only=True):
    """A request to change a charge: CAPTURE, VOID or REFUND ``amount`` of it. Keys are as with charges."""

    key: str
    charge_reference: str
    kind: str
    amount: int
    key_lifetime_ms: int


class Booked(msgspec.Struct, frozen=True):
    """The booked operation of a key, the payment method of its charge, and whether this call booked it."""

    operation: Charge | Change
    payment_method: str
    first: bool


class ChargePage(msgspec.Struct, frozen=True):
    """Which charges to list: oldest first, after the reference ``after``, at most ``limit`` or all."""

    after: str = ""
    limit: int | None = None


_WANTED: Final = json_rows("sqlite", "wanted", key=str)
_CHARGE: Final = select(*(charge.c[name] for name in Charge.__struct_fields__))
_CHANGE: Final = select(*(change.c[name] for name in Change.__struct_fields__))
# Of several charges with one key, the newest is read last and is used.
_CHARGES_BY_KEY: Final = Statement(lambda _: _CHARGE.where(charge.c.key == _WANTED.c.key).order_by(charge.c.reference))
_CHARGE_BY_REFERENCE: Final = Statement(lambda _: _CHARGE.where(charge.c.reference == bindparam("reference")))
_CHANGE_BY_KEY: Final = Statement(
    lambda _: _CHANGE.where(change.c.key == bindparam("key")).order_by(change.c.reference.desc()).limit(1)
)
_ALL: Final = _CHARGE.where(charge.c.reference > bindparam("after")).order_by(charge.c.reference)
_NEW: Final = json_rows(
    "sqlite",
    "new",
    **{name: int if isinstance(charge.c[name].type, Integer) else str for name in Charge.__struct_fields__},
    forgotten_until=int,
)
_INSERT: Final = Statement(
    lambda _: (
        insert(charge)
        .from_select(
            Charge.__struct_fields__,
            select(*(_NEW.c[name] for name in Charge.__struct_fields__)).where(
                ~exists().where(charge.c.key == _NEW.c.key, charge.c.created_at > _NEW.c.forgotten_until)
            ),
        )
        .returning(charge.c.reference)
    )
)
_INSERT_CHANGE: Final = Statement(lambda dialect: insert_json_rows(dialect, change, *Change.__struct_fields__))
_COUNT: Final = Statement(
    lambda _: (
        sqlite.insert(call)
        .values(kind=bindparam("kind"), key=bindparam("key"), count=1)
        .on_conflict_do_update(index_elements=["kind", "key"], set_={"count": call.c.count + 1})
        .returning(call.c.count)
    )
)


def make_books(database: Database) -> None:
    """Create missing tables."""
    with database.writes.begin() as connection:
        metadata.create_all(connection)


def book_charges(transaction: Transaction, requests: Sequence[BookCharge]) -> list[Booked]:
    """Book charges. A key that the provider remembers returns what was booked."""
    new: dict[str, NewCharge] = {}  # The newest charge of each key in this batch.
    wanted: list[NewCharge | None] = []
    for one in requests:
        is_known = one.key in new and one.key_lifetime_ms > 0
        wanted.append(None if is_known else _new_charge(one, transaction.now))
        new[one.key] = wanted[-1] or new[one.key]
    rows = encode_rows(one for one in wanted if one is not None)
    inserted = transaction.column(_INSERT, {"new": rows})
    remembered = {one.key for one in wanted if one is not None and one.reference not in inserted}
    before = read_charges(transaction, remembered) if remembered else {}
    return [
        Booked(one, request.payment_method, first=True)
        if one is not None and one.reference in inserted
        else Booked(before.get(request.key) or new[request.key], request.payment_method, first=False)
        for request, one in zip(requests, wanted, strict=True)
    ]


def _new_charge(body: BookCharge, now: Instant) -> NewCharge:
    return NewCharge(
        key=body.key,
        reference=ids.new_id(ids.CHARGE),
        checkout_id=body.checkout_id,
        merchant_id=body.merchant_id,
        amount=body.amount,
        currency=body.currency,
        payment_method=body.payment_method,
        status=body.status,
        booked_as=body.status,
        decline_code=body.decline_code,
        amount_captured=body.amount if body.status == "succeeded" else 0,
        amount_refunded=0,
        visible_at=now + body.hidden_ms,
        created_at=now,
        forgotten_until=now - body.key_lifetime_ms,
    )


def find_operations(transaction: Transaction, keys: Sequence[str]) -> list[Booked | None]:
    """Find charges and changes by key. Charges that are still hidden are left out."""
    charges = read_charges(transaction, set(keys))
    return [
        (Booked(one, one.payment_method, first=False) if one.visible_at <= transaction.now else None)
        if (one := charges.get(key))
        else _find_change(transaction, key)
        for key in keys
    ]


def list_charges(transaction: Transaction, requests: Sequence[ChargePage]) -> list[list[Charge]]:
    """List charges, oldest first."""
    return [[Charge(*row) for row in transaction.rows(_ALL.limit(one.limit), {"after": one.after})] for one in requests]


def book_late_success(transaction: Transaction, references: Sequence[str]) -> list[Charge | None]:
    """Turn declined charges into successful ones; None where there is no such declined charge."""
    answers: list[Charge | None] = []
    for reference in references:
        wanted = update(charge).where(charge.c.reference == reference, charge.c.status == "declined")
        changed = wanted.values(
            status="succeeded", booked_as="succeeded", decline_code=None, amount_captured=charge.c.amount
        )
        rows = transaction.rows(changed.returning(*(charge.c[name] for name in Charge.__struct_fields__)))
        answers.append(Charge(*rows[0]) if rows else None)
    return answers


def read_charge(transaction: Transaction, reference: str) -> Charge | None:
    """Read a charge by its reference; None where there is none."""
    rows = transaction.rows(_CHARGE_BY_REFERENCE, {"reference": reference})
    return Charge(*rows[0]) if rows else None


def read_charges(transaction: Transaction, keys: Iterable[str]) -> dict[str, Charge]:
    """Read charges by key. Of several with one key it is the newest."""
    wanted = encode_rows({"key": key} for key in keys)
    return {one.key: one for one in (Charge(*row) for row in transaction.rows(_CHARGES_BY_KEY, {"wanted": wanted}))}


def _read_change(transaction: Transaction, key: str) -> Change | None:
    rows = transaction.rows(_CHANGE_BY_KEY, {"key": key})
    return Change(*rows[0]) if rows else None


def book_changes(transaction: Transaction, requests: Sequence[BookChange]) -> list[Booked]:
    """Capture, void and refund. A key that the provider remembers returns what was booked."""
    answers = []
    for one in requests:
        before = _read_change(transaction, one.key)
        is_remembered = before is not None and before.created_at > transaction.now - one.key_lifetime_ms
        booked = before if before is not None and is_remembered else _book_change(transaction, one)
        answers.append(Booked(booked, _payment_method(transaction, booked), first=not is_remembered))
    return answers


def _find_change(transaction: Transaction, key: str) -> Booked | None:
    found = _read_change(transaction, key)
    return None if found is None else Booked(found, _payment_method(transaction, found), first=False)


def _payment_method(transaction: Transaction, changed: Change) -> str:
    """Return the payment method of the charge that was changed; empty where there is no such charge."""
    found = read_charge(transaction, changed.charge_reference)
    return found.payment_method if found else ""


def _book_change(transaction: Transaction, request: BookChange) -> Change:
    found = read_charge(transaction, request.charge_reference)
    decline_code = _refusal(found, request, transaction.now) if found else "charge_not_found"
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
    transaction.run(_INSERT_CHANGE, {"rows": encode_rows([booked])})
    return booked


def _refusal(booked: Charge, request: BookChange, now: Instant) -> str | None:
    """Return why a charge cannot be changed like this; None where it can. What is not held any more is released."""
    if request.kind == "REFUND":
        left = booked.amount_captured - booked.amount_refunded
        return "amount_exceeds_charge" if request.amount > left else change_declined(booked.payment_method, "refund")
    if request.kind == "VOID" and booked.status == "voided":
        return None
    if booked.status != "authorized":
        return f"charge_is_{booked.status}"
    within_ms = capture_within_ms(booked.payment_method)
    if request.kind == "CAPTURE" and within_ms is not None and now >= booked.created_at + within_ms:
        return "authorization_expired"
    if request.amount > booked.amount:
        return "amount_exceeds_authorization"
    return change_declined(booked.payment_method, request.kind.lower())


def count_calls(transaction: Transaction, calls: Sequence[tuple[str, str]]) -> list[int]:
    """Count calls, each given by kind and key; returns the number of each, from 1."""
    return [transaction.rows(_COUNT, {"kind": kind, "key": key})[0][0] for kind, key in calls]
