"""Use cases for statistics: counting the events of logs, and storing what they count as. Each is one function over a
batch. The same steps write the terms under which a search finds new checkouts: so events are read once for both.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from paidonce.database.transaction import Transaction
from paidonce.events.model import Event, EventType
from paidonce.events.store import ReadPosition, read_after
from paidonce.merchants.model import Tenant
from paidonce.search.model import TermRow
from paidonce.search.store import insert_terms, read_terms
from paidonce.statistics import store
from paidonce.statistics.counting import COUNTED, FOLLOWING, SETTLING, Facts, count_events
from paidonce.statistics.model import Figures, FiguresKey, LogCount, UncountedLogs

TERMS_MAX: Final = 500  # Of a log in one step, unless one checkout has more: 7 ms of the writer.


class CountLogs(msgspec.Struct, frozen=True):
    """A request to count the next events of logs, at most ``limit`` of each."""

    tenants: Sequence[Tenant]
    limit: int


def count_logs(transaction: Transaction, requests: Sequence[CountLogs]) -> list[list[LogCount]]:
    """Count the events after the cursor of each log. Nothing is written. Logs without new events are left out."""
    return [_count(transaction, request) for request in requests]


def _count(transaction: Transaction, request: CountLogs) -> list[LogCount]:
    cursors = store.read_cursors(transaction, request.tenants)
    positions = [ReadPosition(one.merchant_id, one.mode, cursors.get(one, 0)) for one in request.tenants]
    events = read_after(transaction, positions, request.limit)
    facts = _read_facts(transaction, [one for one in events if one.type in COUNTED and one.checkout_id])
    terms: defaultdict[str, list[TermRow]] = defaultdict(list)
    for term in read_terms(transaction, {_created(one): one.merchant_id for one in events if _created(one)}):
        terms[term.checkout_id].append(term)
    logs: defaultdict[Tenant, list[Event]] = defaultdict(list)
    for event in events:
        logs[event.tenant].append(event)
    counts = []
    for tenant, log in logs.items():
        few = _with_few_terms(log, terms)
        counts.append(
            LogCount(
                tenant,
                cursors.get(tenant, 0),
                few[-1].sequence,
                few[-1].created_at,
                count_events(few, facts),
                [term for event in few for term in terms.get(_created(event), ())],
                has_more=len(few) < len(log) or len(log) == request.limit,
            )
        )
    return counts


def _with_few_terms(log: Sequence[Event], terms: Mapping[str, Sequence[TermRow]]) -> Sequence[Event]:
    """Return the first events of a log, at least one, so many that at most ``TERMS_MAX`` terms come with them."""
    count = 0
    for position, event in enumerate(log):
        count += len(terms.get(_created(event), ()))
        if count > TERMS_MAX and position > 0:
            return log[:position]
    return log


def _created(event: Event) -> str:
    """Name the checkout that an event tells the creation of; empty where it tells of something else."""
    return event.checkout_id or "" if event.type == EventType.CHECKOUT_CREATED else ""


def _read_facts(transaction: Transaction, events: Sequence[Event]) -> Facts:
    def checkouts_of(types: frozenset[str]) -> dict[str, str]:
        return {one.checkout_id: one.merchant_id for one in events if one.checkout_id is not None and one.type in types}

    return Facts(
        currencies=store.read_currencies(transaction, checkouts_of(COUNTED)),
        attempts=store.read_attempt_facts(
            transaction, {one.attempt_id: one.merchant_id for one in events if one.attempt_id}
        ),
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
    insert_terms(transaction, [term for tenant in moved for term in first[tenant].terms])
    return [one.tenant in moved and first[one.tenant] is one for one in counts]


class FindUncounted(msgspec.Struct, frozen=True):
    """A request for the logs with events that are not counted, of the next ``limit`` merchants after an id."""

    after: str
    limit: int


def find_uncounted(transaction: Transaction, requests: Sequence[FindUncounted]) -> list[UncountedLogs]:
    """Find logs with events that are not counted."""
    return [store.read_uncounted(transaction, after=one.after, limit=one.limit) for one in requests]
