"""Queries of the event log. Each is one function over a batch."""

from collections.abc import Sequence

import msgspec

from paidonce.database.transaction import Transaction
from paidonce.errors import EventNotFound
from paidonce.events import store
from paidonce.events.model import Event
from paidonce.events.store import EventFilter, ReadPosition
from paidonce.merchants.model import Tenant, TenantScopedId


def list_events(transaction: Transaction, requests: Sequence[EventFilter]) -> list[tuple[list[Event], bool]]:
    """Load pages of events, oldest first, and whether each has a next page."""
    return [store.read_page(transaction, request) for request in requests]


def load_events(transaction: Transaction, requests: Sequence[TenantScopedId]) -> list[Event | EventNotFound]:
    """Load events by id."""
    return [store.read_event(transaction, one) or EventNotFound() for one in requests]


def load_newest_sequences(transaction: Transaction, tenants: Sequence[Tenant]) -> list[int]:
    """Load the sequence numbers of the newest events in these logs; 0 for one without events."""
    return [store.read_newest(transaction, tenant) for tenant in tenants]


class EventsAfter(msgspec.Struct, frozen=True):
    """A request for the next events in several logs, at most ``limit`` of each."""

    seen: Sequence[ReadPosition]
    limit: int


def load_events_after(transaction: Transaction, requests: Sequence[EventsAfter]) -> list[list[Event]]:
    """Load the next events. Those of each log are in order."""
    return [store.read_after(transaction, request.seen, request.limit) for request in requests]
