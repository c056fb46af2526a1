"""Queries of the event log. Each is one function over a batch."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from paidonce.database.transaction import Transaction
from paidonce.errors import EventNotFound, EventsDeleted, FieldError, InvalidRequest
from paidonce.events import store
from paidonce.events.model import Event
from paidonce.events.store import EventFilter, ReadPosition
from paidonce.merchants.model import Tenant, TenantScopedId


class FoundEvents(msgspec.Struct, frozen=True):
    """A page of events, oldest first, and whether there is a next page. The log begins with ``first_sequence``."""

    events: list[Event]
    has_more: bool
    first_sequence: int


PageOutcome: TypeAlias = FoundEvents | EventsDeleted | InvalidRequest


def list_events(transaction: Transaction, requests: Sequence[EventFilter]) -> list[PageOutcome]:
    """Load pages of events. A page after 0 begins where its log begins."""
    return [_page(transaction, request) for request in requests]


def _page(transaction: Transaction, request: EventFilter) -> PageOutcome:
    events, has_more = store.read_page(transaction, request)
    if not events and request.after > (newest := store.read_newest(transaction, request.tenant)):
        return position_too_high(newest)
    first = store.read_start(transaction, request.tenant)
    return EventsDeleted(first) if 0 < request.after < first - 1 else FoundEvents(events, has_more, first)


def position_too_high(newest: int) -> InvalidRequest:
    """Refuse a reader that has read further than the log goes: the database was restored to an older state. If it were
    told that there is nothing new, it would miss the events that get these numbers now.
    """
    return InvalidRequest(
        [FieldError("after", "out_of_range", f"No event has this number yet; the newest is {newest}.")]
    )


def load_events(transaction: Transaction, requests: Sequence[TenantScopedId]) -> list[Event | EventNotFound]:
    """Load events by id."""
    return [store.read_event(transaction, one) or EventNotFound() for one in requests]


def load_newest_sequences(transaction: Transaction, tenants: Sequence[Tenant]) -> list[int]:
    """Load the sequence numbers of the newest events in these logs; 0 for one without events."""
    return [store.read_newest(transaction, tenant) for tenant in tenants]


class LogBounds(msgspec.Struct, frozen=True):
    """The numbers of the oldest event that a log keeps, and of its newest event; 1 and 0 for one without events."""

    first: int
    newest: int


def load_log_bounds(transaction: Transaction, tenants: Sequence[Tenant]) -> list[LogBounds]:
    """Load where logs begin and end. Each log is read once, however many ask for it."""
    found = {
        one: LogBounds(store.read_start(transaction, one), store.read_newest(transaction, one))
        for one in dict.fromkeys(tenants)
    }
    return [found[one] for one in tenants]


class EventsAfter(msgspec.Struct, frozen=True):
    """A request for the next events in several logs, at most ``limit`` of each."""

    seen: Sequence[ReadPosition]
    limit: int


def load_events_after(transaction: Transaction, requests: Sequence[EventsAfter]) -> list[list[Event]]:
    """Load the next events. Those of each log are in order."""
    return [store.read_after(transaction, request.seen, request.limit) for request in requests]
