"""Use cases of retention: finding logs with old events, planning a step, and deleting. Each is one function over a
batch.

What a step deletes is found outside of the write transaction, which compares the beginning of the log, moves it and
deletes by primary keys. Events are deleted from the oldest on, so that a log is without a gap from its beginning. An
event stays while it is not counted for statistics, while a delivery of it is open, and while it is to be sent again.
"""

from collections.abc import Sequence

import msgspec

from paidonce.database.transaction import Transaction
from paidonce.events.model import Event
from paidonce.events.store import ReadPosition, read_after
from paidonce.merchants.model import Tenant
from paidonce.retention import store
from paidonce.retention.model import (
    EVENTS_MAX,
    Deletion,
    LogStart,
    RetentionPeriods,
    numbered_below,
    older_than,
    without_open,
)
from paidonce.statistics.store import read_cursors


class FindOldLogs(msgspec.Struct, frozen=True):
    """A request for the logs with old rows, of the next ``limit`` merchants after an id."""

    after: str
    limit: int
    periods: RetentionPeriods


class OldLogs(msgspec.Struct, frozen=True):
    """Logs with old rows, and the last merchant that was looked at; None where there are no others."""

    tenants: list[Tenant]
    last: str | None


def find_old_logs(transaction: Transaction, requests: Sequence[FindOldLogs]) -> list[OldLogs]:
    """Find logs whose first event, or the first event with deliveries, is old."""
    return [_find(transaction, request) for request in requests]


def _find(transaction: Transaction, request: FindOldLogs) -> OldLogs:
    starts, last = store.read_starts(transaction, after=request.after, limit=request.limit)
    found: dict[Tenant, None] = {}
    for period_ms, positions in (
        (request.periods.event_ms, [_position(one, one.first_sequence) for one in starts]),
        (request.periods.shortest_delivery_ms, [_position(one, one.first_delivered) for one in starts]),
    ):
        if period_ms is not None and positions:
            first = read_after(transaction, positions, 1)
            found |= dict.fromkeys(one.tenant for one in first if one.created_at < transaction.now - period_ms)
    return OldLogs(list(found), last)


class PlanDeletion(msgspec.Struct, frozen=True):
    """A request for what the next step deletes of a log."""

    tenant: Tenant
    periods: RetentionPeriods


def plan_deletions(transaction: Transaction, requests: Sequence[PlanDeletion]) -> list[Deletion | None]:
    """Plan a step for each log; None where nothing can be deleted now."""
    return [_plan(transaction, request.tenant, request.periods) for request in requests]


def _plan(transaction: Transaction, tenant: Tenant, periods: RetentionPeriods) -> Deletion | None:
    start = store.read_start(transaction, tenant)
    redelivered_next = store.read_next_redelivered(transaction, tenant)
    counted = read_cursors(transaction, [tenant]).get(tenant, 0)
    delivered = _read_old(transaction, start, start.first_delivered, periods.shortest_delivery_ms)
    events = (
        delivered
        if start.first_sequence == start.first_delivered and periods.event_ms == periods.shortest_delivery_ms
        else _read_old(transaction, start, start.first_sequence, periods.event_ms)
    )
    delivered = numbered_below(delivered, redelivered_next)
    events = numbered_below(events, redelivered_next, counted + 1)
    looked_at = {one.id for one in (*delivered, *events)}
    deliveries = store.read_deliveries(transaction, tenant, looked_at) if looked_at else []
    delivered = without_open(delivered, deliveries)
    first_delivered = delivered[-1].sequence + 1 if delivered else start.first_delivered
    # Some of them may have been sent again since their deliveries were deleted.
    events = without_open(numbered_below(events, first_delivered), deliveries)
    if not delivered and not events:
        return None
    chosen = {one.id for one in (*delivered, *events)}
    return Deletion(
        start=start,
        first_sequence=events[-1].sequence + 1 if events else start.first_sequence,
        first_delivered=first_delivered,
        event_ids=sorted(chosen),
        delivery_ids=sorted(one.id for one in deliveries if one.event_id in chosen),
    )


def _read_old(transaction: Transaction, start: LogStart, first: int, period_ms: int | None) -> Sequence[Event]:
    """Read the next events of a log that are older than a period, those from a number on."""
    if period_ms is None:
        return []
    following = read_after(transaction, [_position(start, first)], EVENTS_MAX)
    return older_than(following, transaction.now - period_ms)


def _position(start: LogStart, first: int) -> ReadPosition:
    return ReadPosition(start.tenant.merchant_id, start.tenant.mode, first - 1)


def delete_old(transaction: Transaction, requests: Sequence[Deletion]) -> list[bool]:
    """Take planned steps. False where nothing is deleted: another process has taken the step, or this one in a commit
    whose answer was lost, or an event was sent again, or is to be, since the step was planned.
    """
    return [_delete(transaction, request) for request in requests]


def _delete(transaction: Transaction, deletion: Deletion) -> bool:
    # From here on, no redelivery begins.
    if not store.lock_start(transaction, deletion.start) or _is_needed(transaction, deletion):
        return False
    store.delete_deliveries(transaction, deletion)
    store.delete_events(transaction, deletion)
    store.move_start(transaction, deletion)
    return True


def _is_needed(transaction: Transaction, deletion: Deletion) -> bool:
    """Tell whether an event is to be sent again, or has other deliveries than when the step was planned."""
    redelivered_next = store.read_next_redelivered(transaction, deletion.tenant)
    if redelivered_next is not None and redelivered_next < deletion.first_delivered:
        return True
    deliveries = store.read_deliveries(transaction, deletion.tenant, deletion.event_ids)
    return any(one.is_open for one in deliveries) or {one.id for one in deliveries} != set(deletion.delivery_ids)


class DeleteEntries(msgspec.Struct, frozen=True):
    """A request to delete at most ``limit`` entries of the audit log that are older than ``age_ms``."""

    age_ms: int
    limit: int


def delete_old_entries(transaction: Transaction, requests: Sequence[DeleteEntries]) -> list[int]:
    """Delete entries of the audit log; returns how many."""
    return [store.delete_entries(transaction, before=transaction.now - one.age_ms, limit=one.limit) for one in requests]
