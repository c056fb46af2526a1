"""Use cases for statistics: counting the events of logs, and storing what they count as. Each is one function over a
batch.
"""

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from paidonce.database.transaction import Transaction
from paidonce.events.model import Event
from paidonce.events.store import ReadPosition, read_after
from paidonce.merchants.model import Tenant
from paidonce.statistics import store
from paidonce.statistics.counting import COUNTED, FOLLOWING, SETTLING, Facts, count_events
from paidonce.statistics.model import Figures, FiguresKey, LogCount, NewsPage


class CountLogs(msgspec.Struct, frozen=True):
    """A request to count the next events of logs, at most ``limit`` of each."""

    tenants: Sequence[Tenant]
    limit: int


def count_logs(transaction: Transaction, requests: Sequence[CountLogs]) -> list[list[LogCount]]:
    """Count the events after the cursor of each log. Nothing is written. Logs without news are left out."""
    return [_count(transaction, request) for request in requests]


def _count(transaction: Transaction, request: CountLogs) -> list[LogCount]:
    cursors = store.read_cursors(transaction, request.tenants)
    positions = [ReadPosition(one.merchant_id, one.mode, cursors.get(one, 0)) for one in request.tenants]
    events = read_after(transaction, positions, request.limit)
    facts = _read_facts(transaction, [one for one in events if one.type in COUNTED and one.checkout_id])
    logs: defaultdict[Tenant, list[Event]] = defaultdict(list)
    for event in events:
        logs[event.tenant].append(event)
    return [
        LogCount(
            tenant,
            cursors.get(tenant, 0),
            log[-1].sequence,
            log[-1].created_at,
            count_events(log, facts),
            len(log) == request.limit,
        )
        for tenant, log in logs.items()
    ]


def _read_facts(transaction: Transaction, events: Sequence[Event]) -> Facts:
    def checkouts_of(types: frozenset[str]) -> set[str]:
        return {one.checkout_id for one in events if one.checkout_id is not None and one.type in types}

    return Facts(
        currencies=store.read_currencies(transaction, checkouts_of(COUNTED)),
        attempts=store.read_attempt_facts(transaction, {one.attempt_id for one in events if one.attempt_id}),
        first_paid_at=store.read_first_paid(transaction, checkouts_of(SETTLING)),
        histories=store.read_histories(transaction, checkouts_of(FOLLOWING)),
    )


def store_counts(transaction: Transaction, counts: Sequence[LogCount]) -> list[bool]:
    """Move the cursors of logs and add what was counted, which is one: so each event is counted exactly once.

    False where the events were counted meanwhile, by another process or by this one in a commit whose answer was lost:
    then nothing changes.
    """
    first = {one.tenant: one for one in reversed(counts)}
    moved = store.move_cursors(transaction, [first[tenant] for tenant in sorted(first)])
    added: dict[FiguresKey, Figures] = {}
    for tenant in moved:
        added |= first[tenant].figures  # The keys of two logs are never the same.
    store.add_figures(transaction, added)
    return [one.tenant in moved and first[one.tenant] is one for one in counts]


class FindNews(msgspec.Struct, frozen=True):
    """A request for the logs with events that are not counted, of the next ``limit`` merchants after an id."""

    after: str
    limit: int


def find_news(transaction: Transaction, requests: Sequence[FindNews]) -> list[NewsPage]:
    """Find logs with news."""
    return [store.read_news(transaction, after=one.after, limit=one.limit) for one in requests]
