"""What is deleted, and how much of it in one step."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Final

import msgspec

from paidonce.clock import DAY_MS, Instant
from paidonce.events.model import Event
from paidonce.merchants.model import Tenant
from paidonce.settings import Settings

EVENTS_MAX: Final = 100  # Of a log in one step.
ROWS_MAX: Final = 300  # Deliveries and tries of these events, unless one event has more.


class RetentionPeriods(msgspec.Struct, frozen=True):
    """How long rows are kept, in milliseconds; None for ever. No delivery is kept longer than its event."""

    event_ms: int | None = None
    delivery_ms: int | None = None
    audit_ms: int | None = None

    @property
    def shortest_delivery_ms(self) -> int | None:
        """How long deliveries are kept."""
        return min((one for one in (self.event_ms, self.delivery_ms) if one is not None), default=None)


def periods_of(settings: Settings) -> RetentionPeriods:
    """Return the periods that the settings give in days, where 0 is for ever."""
    return RetentionPeriods(
        *(
            round(days * DAY_MS) if days else None
            for days in (settings.event_days, settings.delivery_days, settings.audit_days)
        )
    )


class LogStart(msgspec.Struct, frozen=True):
    """Where a log begins: with its first event, and with the first event whose deliveries are kept. It is stored once
    the log does not begin with 1.
    """

    tenant: Tenant
    first_sequence: int = 1
    first_delivered: int = 1
    is_stored: bool = False


class OldDelivery(msgspec.Struct, frozen=True):
    """A delivery of an old event. ``fence`` counts its claims, so it has at most as many tries."""

    id: str
    event_id: str
    is_open: bool
    fence: int


class Deletion(msgspec.Struct, frozen=True, kw_only=True):
    """What one step deletes of a log that begins at ``start``: the events before ``first_sequence``, and deliveries.

    It begins then with these numbers. ``delivery_ids`` are all deliveries of the events ``event_ids``.
    """

    start: LogStart
    first_sequence: int
    first_delivered: int
    event_ids: Sequence[str]
    delivery_ids: Sequence[str]

    @property
    def tenant(self) -> Tenant:
        """Whose log it is."""
        return self.start.tenant


def older_than(events: Iterable[Event], before: Instant) -> Sequence[Event]:
    """Return the first events of a log that are older than an instant.

    Clocks of several processes differ, so an event may be older than the one before it. Events are deleted in the order
    of their numbers: one that is too young keeps all that follow.
    """
    return list(takewhile(lambda one: one.created_at < before, events))


def numbered_below(events: Iterable[Event], *ends: int | None) -> Sequence[Event]:
    """Return the events whose number is below each end that is given."""
    end = min((one for one in ends if one is not None), default=None)
    return [one for one in events if end is None or one.sequence < end]


def without_open(events: Iterable[Event], deliveries: Iterable[OldDelivery]) -> Sequence[Event]:
    """Return the first events that have no open delivery: so many that their deliveries and tries are at most
    ``ROWS_MAX`` rows, and at least one.
    """
    by_event: defaultdict[str, list[OldDelivery]] = defaultdict(list)
    for one in deliveries:
        by_event[one.event_id].append(one)
    found: list[Event] = []
    rows = 0
    for event in events:
        of_event = by_event[event.id]
        rows += sum(1 + one.fence for one in of_event)
        if any(one.is_open for one in of_event) or (found and rows > ROWS_MAX):
            break
        found.append(event)
    return found
