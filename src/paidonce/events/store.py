"""SQL statements for the event log."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Select, Text, and_, bindparam, or_, select, true
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.sql.selectable import FromClause

from paidonce import ids
from paidonce.clock import Instant
from paidonce.database.schema import attempt, event, merchant
from paidonce.database.sets import encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import Statement
from paidonce.database.transaction import AnyRow, Transaction
from paidonce.events.model import Event, NewEvent

_COLUMNS: Final = Event.__struct_fields__[:-1]  # The kind of attempt is read from the attempt.

_encode: Final = msgspec.json.Encoder().encode


class MerchantCount(msgspec.Struct, frozen=True):
    """The number of new events of a merchant. ``created_at`` is used where the merchant does not exist yet."""

    id: str
    event_sequence: int
    created_at: Instant


def _count_events(dialect: str) -> ReturningInsert[Any]:
    # An INSERT handles its rows in order. They are sorted by id, so that every process locks merchants in the same
    # order and two batches cannot deadlock. A merchant is created by its first use.
    upsert = insert_json_rows(dialect, merchant, *MerchantCount.__struct_fields__)
    return upsert.on_conflict_do_update(
        index_elements=["id"],
        set_={"event_sequence": merchant.c.event_sequence + upsert.excluded.event_sequence},
    ).returning(merchant.c.id, merchant.c.event_sequence)


def _with_attempt(events: FromClause, beside: FromClause | None = None) -> Select[Any]:
    """Select events, each with the kind of its attempt. ``beside`` is what they are joined to."""
    of_event = (events.c[name] for name in _COLUMNS)
    same = and_(attempt.c.id == events.c.attempt_id, attempt.c.merchant_id == events.c.merchant_id)
    return select(*of_event, attempt.c.kind).select_from(
        (events if beside is None else beside).outerjoin(attempt, same)
    )


def _after(dialect: str) -> Select[Any]:
    """Select the events after a number, for each of many merchants, through the index."""
    wanted = json_rows(dialect, "wanted", merchant_id=str, seen=int)
    newer = (event.c.merchant_id == wanted.c.merchant_id, event.c.sequence > wanted.c.seen)
    if dialect == "postgresql":
        found = select(event).where(*newer).order_by(event.c.sequence).limit(bindparam("limit")).lateral("found")
        return _with_attempt(found, wanted.join(found, true())).order_by(found.c.merchant_id, found.c.sequence)
    # SQLite has no LATERAL, and needs none, because the numbers have no gaps.
    near = event.c.sequence <= wanted.c.seen + bindparam("limit")
    joined = wanted.join(event, and_(*newer, near))
    return _with_attempt(event, joined).order_by(event.c.merchant_id, event.c.sequence)


_COUNT_EVENTS: Final = Statement(_count_events)
_INSERT_EVENTS: Final = Statement(lambda dialect: insert_json_rows(dialect, event, *_COLUMNS))
_AFTER: Final = Statement(_after)
_EVENTS: Final = _with_attempt(event)
# Where no merchant is given, events of every merchant match.
_TENANT: Final = bindparam("tenant", type_=Text())
_BELONGS_TO_TENANT: Final = or_(_TENANT.is_(None), event.c.merchant_id == _TENANT)
_EVENTS_OF_CHECKOUT: Final = _EVENTS.where(
    event.c.checkout_id == bindparam("checkout_id"), _BELONGS_TO_TENANT
).order_by(event.c.sequence)
_EVENT: Final = _EVENTS.where(event.c.id == bindparam("event_id"), _BELONGS_TO_TENANT)
_NEWEST: Final = select(merchant.c.event_sequence).where(merchant.c.id == bindparam("merchant_id"))


def write_events(transaction: Transaction) -> list[Event]:
    """Number the events of the transaction for each merchant and insert them, just before the commit.

    Returns the events. From here to the commit, no other transaction can write events of these merchants.
    """
    events: list[NewEvent] = transaction.events
    if not events:
        return []
    counts = Counter([new.merchant_id for new in events])
    added = encode_rows(MerchantCount(one, count, transaction.now) for one, count in sorted(counts.items()))
    newest = transaction.rows(_COUNT_EVENTS, {"rows": added})
    number = {merchant_id: sequence - counts[merchant_id] for merchant_id, sequence in newest}
    written = [_numbered(new, number, transaction.now) for new in events]
    transaction.run(_INSERT_EVENTS, {"rows": encode_rows(written)})
    return written


def _numbered(new: NewEvent, number: dict[str, int], now: Instant) -> Event:
    number[new.merchant_id] += 1
    detail = new.detail
    if new.origin.idempotency_key is not None:
        detail = {**(detail or {}), "idempotencyKey": new.origin.idempotency_key}
    return Event(
        ids.new_id(ids.EVENT),
        new.merchant_id,
        number[new.merchant_id],
        new.checkout_id,
        new.attempt_id,
        new.type,
        new.cause,
        _encode(detail).decode() if detail else None,
        new.origin.request_id,
        now,
    )


def events_of_checkout(transaction: Transaction, checkout_id: str, merchant_id: str | None) -> Sequence[Event]:
    """Read the events of a checkout, oldest first; none where it belongs to another merchant than ``merchant_id``."""
    return _events(transaction.rows(_EVENTS_OF_CHECKOUT, {"checkout_id": checkout_id, "tenant": merchant_id}))


def _events(rows: Iterable[AnyRow]) -> list[Event]:
    return [Event(*row) for row in rows]


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events of a merchant a page holds: those with a number above ``after``, lowest first."""

    merchant_id: str
    limit: int
    after: int = 0
    types: frozenset[str] | None = None
    checkout_id: str | None = None


def read_page(transaction: Transaction, wanted: EventFilter) -> tuple[list[Event], bool]:
    """Read a page, oldest first, and whether there is a next page."""
    statement = _EVENTS.where(event.c.merchant_id == wanted.merchant_id, event.c.sequence > wanted.after)
    if wanted.types is not None:
        statement = statement.where(event.c.type.in_(sorted(wanted.types)))
    if wanted.checkout_id is not None:
        statement = statement.where(event.c.checkout_id == wanted.checkout_id)
    found = _events(transaction.rows(statement.order_by(event.c.sequence).limit(wanted.limit + 1)))
    return found[: wanted.limit], len(found) > wanted.limit


def read_event(transaction: Transaction, event_id: str, merchant_id: str | None) -> Event | None:
    """Read an event by id; None where it belongs to another merchant than ``merchant_id``."""
    found = _events(transaction.rows(_EVENT, {"event_id": event_id, "tenant": merchant_id}))
    return found[0] if found else None


def read_newest(transaction: Transaction, merchant_id: str) -> int:
    """Read the number of a merchant's newest event; 0 where there is none."""
    found = transaction.rows(_NEWEST, {"merchant_id": merchant_id})
    return int(found[0].event_sequence) if found else 0


class ReadPosition(msgspec.Struct, frozen=True):
    """How far a reader has read a merchant's events: up to number ``seen``."""

    merchant_id: str
    seen: int


def read_after(transaction: Transaction, seen: Sequence[ReadPosition], limit: int) -> list[Event]:
    """Read the next events of each of these merchants, at most ``limit`` of each, oldest first."""
    return _events(transaction.rows(_AFTER, {"wanted": encode_rows(seen), "limit": limit}))
