"""What can be asked of the event log. Each is one function over a batch, and only reads."""

from collections.abc import Sequence

import msgspec

from paidonce.database.transaction import Transaction
from paidonce.errors import EventNotFound
from paidonce.events import store
from paidonce.events.model import Event
from paidonce.events.store import EventFilter, Seen
from paidonce.merchants.model import TenantScopedId


def list_events(transaction: Transaction, requests: Sequence[EventFilter]) -> list[tuple[list[Event], bool]]:
    """Read pages of events, oldest first, and whether more lies beyond each."""
    return [store.read_page(transaction, request) for request in requests]


def find_events(transaction: Transaction, requests: Sequence[TenantScopedId]) -> list[Event | EventNotFound]:
    """Read events by id."""
    return [store.read_event(transaction, one.id, one.merchant_id) or EventNotFound() for one in requests]


def find_newest(transaction: Transaction, merchant_ids: Sequence[str]) -> list[int]:
    """Read the numbers of merchants' newest events; 0 for one that has none."""
    return [store.read_newest(transaction, merchant_id) for merchant_id in merchant_ids]


class ReadOn(msgspec.Struct, frozen=True):
    """A wish for what comes next, of several merchants, at most ``limit`` events of each."""

    seen: Sequence[Seen]
    limit: int


def read_on(transaction: Transaction, requests: Sequence[ReadOn]) -> list[list[Event]]:
    """Read what comes next; each merchant's events in their order."""
    return [store.read_after(transaction, request.seen, request.limit) for request in requests]
