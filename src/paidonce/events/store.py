"""SQL statements for the event log."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ClauseElement, ColumnElement, Select, and_, bindparam, func, select, true, update
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.sql.selectable import FromClause

from paidonce import ids
from paidonce.clock import Instant
from paidonce.database.paging import page_of
from paidonce.database.schema import attempt, event, event_log, merchant
from paidonce.database.sets import RowsInsert, encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import CITUS, POSTGRESQL, Statement
from paidonce.database.transaction import AnyRow, Transaction
from paidonce.events.model import Event, NewEvent
from paidonce.merchants.model import Mode, Tenant, TenantScopedId
from paidonce.merchants.scoping import is_tenants, tenant_parameters

_COLUMNS: Final = Event.__struct_fields__[:-1]  # The kind of attempt is read from the attempt.

SEQUENCE_MAX: Final = 2**63 - 1

_encode: Final = msgspec.json.Encoder().encode


# The counter of a merchant's events in each mode. Both are in its row, which is locked once for both.
COUNTER_OF: Final = {Mode.TEST: "event_sequence", Mode.LIVE: "live_event_sequence"}
_TEST, _LIVE = Mode.TEST.value, Mode.LIVE.value  # Texts are hashed and encoded faster than members.


class MerchantCount(msgspec.Struct, frozen=True):
    """The numbers of new events of a merchant in test and in live mode. ``created_at`` is used where the merchant does
    not exist yet.
    """

    id: str
    event_sequence: int
    live_event_sequence: int
    created_at: Instant


def _count_events(dialect: str, merchants_exist: bool) -> ClauseElement:  # noqa: FBT001 - as RowsInsert calls it
    counters = [merchant.c[name] for name in COUNTER_OF.values()]
    if merchants_exist and dialect == CITUS:
        added = json_rows(dialect, "rows", id=str, **dict.fromkeys(COUNTER_OF.values(), int))
        changes = {column.name: column + added.c[column.name] for column in counters}
        return update(merchant).where(merchant.c.id == added.c.id).values(changes).returning(merchant.c.id, *counters)
    # An INSERT handles its rows in order. They are sorted by id, so that every process locks merchants in the same
    # order and two batches cannot deadlock. A merchant is created by its first use.
    upsert = insert_json_rows(dialect, merchant, *MerchantCount.__struct_fields__)
    return upsert.on_conflict_do_update(
        index_elements=["id"],
        set_={name: merchant.c[name] + upsert.excluded[name] for name in COUNTER_OF.values()},
    ).returning(merchant.c.id, *counters)


def _with_attempt(events: FromClause, beside: FromClause | None = None) -> Select[Any]:
    """Select events, each with the kind of its attempt. ``beside`` is what they are joined to."""
    of_event = (events.c[name] for name in _COLUMNS)
    same = and_(attempt.c.id == events.c.attempt_id, attempt.c.merchant_id == events.c.merchant_id)
    return select(*of_event, attempt.c.kind).select_from(
        (events if beside is None else beside).outerjoin(attempt, same)
    )


def _after(dialect: str) -> Select[Any]:
    """Select the events after a number, for each of many logs, through the index."""
    wanted = json_rows(dialect, "wanted", merchant_id=str, mode=str, seen=int)
    found, joined = (_next_by_lateral if dialect == POSTGRESQL else _next_by_range)(wanted)
    return _with_attempt(found, joined).order_by(found.c.merchant_id, found.c.mode, found.c.sequence)


def _next_by_lateral(wanted: FromClause) -> tuple[FromClause, FromClause]:
    found = _next(event, event.c.merchant_id == wanted.c.merchant_id, wanted).lateral("found")
    return found, wanted.join(found, true())


def _next_by_range(wanted: FromClause) -> tuple[FromClause, FromClause]:
    """For SQLite and Citus, which have no LATERAL with LIMIT: select up to the number of the last of the next."""
    first = event.alias("first")
    last = (
        # Compared with the given rows too, so that Citus looks for it on their shards only.
        _next(first, and_(first.c.merchant_id == merchant.c.id, first.c.merchant_id == wanted.c.merchant_id), wanted)
        .with_only_columns(first.c.sequence)
        .offset(bindparam("limit") - 1)
        .limit(1)
        .correlate(merchant, wanted)
        .scalar_subquery()
    )
    of_log = and_(
        event.c.merchant_id == merchant.c.id,
        event.c.merchant_id == wanted.c.merchant_id,
        event.c.mode == wanted.c.mode,
        event.c.sequence > wanted.c.seen,
        event.c.sequence <= func.coalesce(last, SEQUENCE_MAX),
    )
    return event, wanted.join(merchant, merchant.c.id == wanted.c.merchant_id).join(event, of_log)


def _next(events: Any, is_merchants: ColumnElement[bool], wanted: FromClause) -> Select[Any]:  # noqa: ANN401 - a table or an alias of one
    return (
        select(events)
        .where(is_merchants, events.c.mode == wanted.c.mode, events.c.sequence > wanted.c.seen)
        .order_by(events.c.sequence)
        .limit(bindparam("limit"))
    )


def _lock_starts(dialect: str) -> ReturningInsert[Any]:
    upsert = insert_json_rows(dialect, event_log, "merchant_id", "mode", "first_sequence", "first_delivered")
    return upsert.on_conflict_do_update(
        index_elements=["merchant_id", "mode"], set_={"first_sequence": event_log.c.first_sequence}
    ).returning(event_log.c.mode, event_log.c.first_sequence)


_LOCK_STARTS: Final = Statement(_lock_starts)
_COUNT_EVENTS: Final = RowsInsert(_count_events, merchant_of=lambda row: row.id)
_INSERT_EVENTS: Final = Statement(lambda dialect: insert_json_rows(dialect, event, *_COLUMNS, merchants_exist=True))
_AFTER: Final = Statement(_after)
_EVENTS: Final = _with_attempt(event)
_EVENTS_OF_CHECKOUT: Final = _EVENTS.where(event.c.checkout_id == bindparam("wanted_id"), is_tenants(event)).order_by(
    event.c.sequence
)
_EVENT: Final = _EVENTS.where(event.c.id == bindparam("wanted_id"), is_tenants(event))
_START: Final = Statement(
    lambda _dialect: select(event_log.c.first_sequence).where(
        event_log.c.merchant_id == bindparam("tenant"), event_log.c.mode == bindparam("of_mode")
    )
)
_NEWEST: Final = select(*(merchant.c[name].label(mode) for mode, name in COUNTER_OF.items())).where(
    merchant.c.id == bindparam("merchant_id")
)


def write_events(transaction: Transaction) -> list[Event]:
    """Number the events of the transaction for each merchant and mode and insert them, just before the commit.

    Returns the events. From here to the commit, no other transaction can write events of these merchants.
    """
    events: list[NewEvent] = transaction.events
    if not events:
        return []
    logs = [(new.merchant_id, new.mode) for new in events]
    counts = Counter(logs)
    added = [
        MerchantCount(one, counts[one, _TEST], counts[one, _LIVE], transaction.now)
        for one in sorted({merchant_id for merchant_id, _ in counts})
    ]
    number: dict[tuple[str, str], int] = {}
    for merchant_id, test, live in _COUNT_EVENTS.rows(transaction.connection, added):
        number[merchant_id, _TEST] = test - counts[merchant_id, _TEST]
        number[merchant_id, _LIVE] = live - counts[merchant_id, _LIVE]
    written = []
    for new, log in zip(events, logs, strict=True):
        number[log] = sequence = number[log] + 1
        written.append(_numbered(new, sequence, transaction.now))
    transaction.run(_INSERT_EVENTS, {"rows": encode_rows(written)})
    return written


def _numbered(new: NewEvent, sequence: int, now: Instant) -> Event:
    detail = new.detail
    if new.origin.idempotency_key is not None:
        detail = {**(detail or {}), "idempotencyKey": new.origin.idempotency_key}
    if new.origin.actor is not None:
        detail = {**(detail or {}), "actor": new.origin.actor}
    return Event(
        ids.new_id(ids.EVENT),
        new.merchant_id,
        new.mode,
        sequence,
        new.checkout_id,
        new.attempt_id,
        new.type,
        new.cause,
        _encode(detail).decode() if detail else None,
        new.origin.request_id,
        now,
    )


def events_of_checkout(transaction: Transaction, checkout: TenantScopedId) -> Sequence[Event]:
    """Read the events of a checkout, oldest first; none where its id does not find it."""
    return _events(transaction.rows(_EVENTS_OF_CHECKOUT, tenant_parameters(checkout)))


def _events(rows: Iterable[AnyRow]) -> list[Event]:
    return [Event(*row) for row in rows]


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events of a log a page holds: those with a number above ``after``, lowest first."""

    tenant: Tenant
    limit: int
    after: int = 0
    types: frozenset[str] | None = None
    checkout_id: str | None = None


def read_page(transaction: Transaction, wanted: EventFilter) -> tuple[list[Event], bool]:
    """Read a page, oldest first, and whether there is a next page."""
    statement = _EVENTS.where(
        event.c.merchant_id == wanted.tenant.merchant_id,
        event.c.mode == wanted.tenant.mode,
        event.c.sequence > wanted.after,
    )
    if wanted.types is not None:
        statement = statement.where(event.c.type.in_(sorted(wanted.types)))
    if wanted.checkout_id is not None:
        statement = statement.where(event.c.checkout_id == wanted.checkout_id)
    found = _events(transaction.rows(statement.order_by(event.c.sequence).limit(wanted.limit + 1)))
    return page_of(found, limit=wanted.limit)


def read_event(transaction: Transaction, wanted: TenantScopedId) -> Event | None:
    """Read an event; None where its id does not find it."""
    found = _events(transaction.rows(_EVENT, tenant_parameters(wanted)))
    return found[0] if found else None


def read_start(transaction: Transaction, tenant: Tenant) -> int:
    """Read the number of the oldest event that a log keeps; 1 where nothing was deleted.

    Events are deleted from the oldest on. Whoever reads events reads this afterwards: what was read is without a gap
    where it begins no later than this, also where events are deleted at the same time.
    """
    found = transaction.rows(_START, {"tenant": tenant.merchant_id, "of_mode": tenant.mode})
    return int(found[0][0]) if found else 1


def lock_starts(transaction: Transaction, merchant_id: str) -> dict[str, int]:
    """Read the number of the oldest event that a merchant's log keeps in each mode. Until the transaction ends, none of
    its events is deleted.

    Who also locks the merchant's row calls this before, as every transaction that deletes events does.
    """
    start = {"merchant_id": merchant_id, "first_sequence": 1, "first_delivered": 1}
    rows = encode_rows({**start, "mode": mode} for mode in sorted(Mode))
    return dict(transaction.rows(_LOCK_STARTS, {"rows": rows}))


def read_newest(transaction: Transaction, tenant: Tenant) -> int:
    """Read the number of the newest event in a log; 0 where there is none."""
    found = transaction.rows(_NEWEST, {"merchant_id": tenant.merchant_id})
    return int(getattr(found[0], tenant.mode)) if found else 0


class ReadPosition(msgspec.Struct, frozen=True):
    """How far a reader has read the log of a merchant and mode: up to number ``seen``."""

    merchant_id: str
    mode: str
    seen: int


def read_after(transaction: Transaction, seen: Sequence[ReadPosition], limit: int) -> list[Event]:
    """Read the next events of each of these logs, at most ``limit`` of each, oldest first."""
    return _events(transaction.rows(_AFTER, {"wanted": encode_rows(seen), "limit": limit}))
