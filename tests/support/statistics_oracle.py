"""Statistics counted directly: from all events in their order and from the rows of today, without a rollup."""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from sqlalchemy import select

from paidonce.database.engine import Database
from paidonce.database.schema import attempt, checkout, event, hourly_statistics, statistics_cursor
from paidonce.statistics.histogram import bucket_of

HOUR_MS: Final = 3_600_000

Key: TypeAlias = tuple[str, str, int, str, str]
Counts: TypeAlias = dict[str, int]
"""By name; ``declines:code`` and ``settle_times:bucket`` are names too. What is zero is left out."""

NAMES: Final = {
    "checkout.created": "checkouts_created",
    "checkout.expired": "checkouts_expired",
    "checkout.canceled": "checkouts_canceled",
}


def counted_directly(
    database: Database, *, merchant_id: str | None = None, only_up_to_cursors: bool = False
) -> dict[Key, Counts]:
    """Count the events of all merchants or of one: every event, or those that the rollup should have counted."""
    found: defaultdict[Key, Counts] = defaultdict(lambda: defaultdict(int))
    with database.read() as transaction:
        checkouts = {row.id: row for row in transaction.rows(select(checkout))}
        attempts = {row.id: row for row in transaction.rows(select(attempt))}
        # The cursors first: what is counted from now on is left out.
        cursors = {(row.merchant_id, row.mode): row.sequence for row in transaction.rows(select(statistics_cursor))}
        events = transaction.rows(select(event).order_by(event.c.merchant_id, event.c.mode, event.c.sequence))
    first_paid: dict[str, int] = {}
    outcome_of: dict[str, str] = {}  # Of each attempt to refund, and of each dispute.
    for one in events:
        is_left_out = only_up_to_cursors and one.sequence > cursors.get((one.merchant_id, one.mode), 0)
        if one.checkout_id is None or is_left_out or merchant_id not in (None, one.merchant_id):
            continue
        detail: dict[str, Any] = json.loads(one.detail or "{}")
        tried = attempts.get(one.attempt_id)
        kind, amount = (tried.kind, tried.amount) if tried else (None, 0)
        hour = one.created_at // HOUR_MS * HOUR_MS
        currency = checkouts[one.checkout_id].currency
        counts = found[one.merchant_id, one.mode, hour, currency, tried.provider if tried else ""]
        if one.type in NAMES:
            counts[NAMES[one.type]] += 1
        elif one.type == "checkout.processing":
            first_paid.setdefault(one.checkout_id, one.created_at)
        elif one.type == "checkout.failed":
            counts["payments_declined"] += 1
            counts[f"declines:{detail['declineCode']}"] += 1
        elif (one.type, kind) in (("checkout.completed", "CHARGE"), ("checkout.authorized", "AUTHORIZE")):
            counts["payments_succeeded"] += 1
            counts[f"settle_times:{bucket_of(one.created_at - first_paid[one.checkout_id])}"] += 1
        if one.type == "checkout.completed":
            counts["amount_captured"] += amount
        if one.type.startswith("refund.") and kind == "REFUND":
            had = outcome_of.get(one.attempt_id)
            outcome_of[one.attempt_id] = one.type
            counts["amount_refunded"] += amount * (
                (one.type == "refund.succeeded") - (one.type == "refund.failed" and had == "refund.succeeded")
            )
        if one.type.startswith("dispute.") and detail["currency"] == currency:
            had = outcome_of.get(detail["disputeId"], "dispute.won")
            outcome_of[detail["disputeId"]] = one.type
            counts["amount_disputed"] += int(detail["amount"]) * ((one.type != "dispute.won") - (had != "dispute.won"))
    return _without_zeros(found.items())


def stored(database: Database, *, merchant_id: str | None = None) -> dict[Key, Counts]:
    """Read what the rollup has stored, for all merchants or for one."""
    found: dict[Key, Counts] = {}
    with database.read() as transaction:
        rows = transaction.rows(select(hourly_statistics))
    for row in rows:
        counts = {name: row[place] for place, name in enumerate(hourly_statistics.c.keys())}
        for name in ("declines", "settle_times"):
            counts |= {f"{name}:{one}": count for one, count in json.loads(counts.pop(name)).items()}
        key = tuple(counts.pop(name) for name in ("merchant_id", "mode", "hour", "currency", "provider"))
        if merchant_id in (None, row.merchant_id):
            found[key] = counts
    return _without_zeros(found.items())


def _without_zeros(counted: Iterable[tuple[Key, Counts]]) -> dict[Key, Counts]:
    shown = {key: {name: count for name, count in counts.items() if count} for key, counts in counted}
    return {key: counts for key, counts in shown.items() if counts}


def sums_of_checkouts(database: Database) -> dict[str, tuple[int, ...]]:
    """Sum up, by currency, what the checkouts say themselves: how many, captured, refunded, disputed."""
    sums: defaultdict[str, tuple[int, ...]] = defaultdict(lambda: (0, 0, 0, 0))
    with database.read() as transaction:
        for row in transaction.rows(select(checkout)):
            added = (1, row.amount_captured, row.amount_refunded, row.amount_disputed)
            sums[row.currency] = tuple(a + b for a, b in zip(sums[row.currency], added, strict=True))
    return dict(sums)


def sums_of_statistics(database: Database) -> dict[str, tuple[int, ...]]:
    """Sum up the same from the statistics."""
    names = ("checkouts_created", "amount_captured", "amount_refunded", "amount_disputed")
    sums: defaultdict[str, tuple[int, ...]] = defaultdict(lambda: (0, 0, 0, 0))
    for (_, _, _, currency, _), counts in stored(database).items():
        added = tuple(counts.get(name, 0) for name in names)
        sums[currency] = tuple(a + b for a, b in zip(sums[currency], added, strict=True))
    return dict(sums)
