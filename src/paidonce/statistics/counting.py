"""What an event counts as. It depends on nothing that can change after the event, so counting again counts the same."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from paidonce.clock import HOUR_MS, Instant
from paidonce.events.model import PREVIOUS_STATUS, Event, EventType
from paidonce.payments.disputes import DisputeStatus
from paidonce.payments.model import AttemptKind, AttemptStatus
from paidonce.statistics.histogram import bucket_of
from paidonce.statistics.model import Figures, FiguresKey

_detail: Final = msgspec.json.Decoder(dict[str, Any]).decode

DISPUTE_TYPES: Final = frozenset({EventType.DISPUTE_OPENED, EventType.DISPUTE_WON, EventType.DISPUTE_LOST})
COUNTED: Final = DISPUTE_TYPES | {
    EventType.CHECKOUT_CREATED,
    EventType.CHECKOUT_COMPLETED,
    EventType.CHECKOUT_AUTHORIZED,
    EventType.CHECKOUT_FAILED,
    EventType.CHECKOUT_CANCELED,
    EventType.CHECKOUT_EXPIRED,
    EventType.REFUND_SUCCEEDED,
    EventType.REFUND_FAILED,
}
# What these count as depends on what was recorded of the same refund or dispute before.
FOLLOWING: Final = DISPUTE_TYPES | {EventType.REFUND_FAILED}
# With them, the time from the first pay is known.
SETTLING: Final = frozenset({EventType.CHECKOUT_COMPLETED, EventType.CHECKOUT_AUTHORIZED})


class AttemptFacts(msgspec.Struct, frozen=True):
    """What never changes of an attempt."""

    provider: str
    amount: int


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What events do not hold, and what never changes.

    ``currencies`` and ``first_paid_at`` are by the checkout's id, ``attempts`` by their own. ``histories`` are the
    events of refunds and disputes, by the checkout's id, in their order.
    """

    currencies: Mapping[str, str]
    attempts: Mapping[str, AttemptFacts]
    first_paid_at: Mapping[str, Instant]
    histories: Mapping[str, Sequence[Event]]


def count_events(events: Iterable[Event], facts: Facts) -> dict[FiguresKey, Figures]:
    """Count events; those that count as nothing are left out."""
    counted: dict[FiguresKey, Figures] = {}
    for event in events:
        if event.type not in COUNTED or event.checkout_id is None:
            continue
        attempt = facts.attempts.get(event.attempt_id) if event.attempt_id else None
        key = FiguresKey(
            event.merchant_id,
            event.mode,
            event.created_at - event.created_at % HOUR_MS,
            facts.currencies[event.checkout_id],
            attempt.provider if attempt else "",
        )
        _add_event(counted.setdefault(key, Figures()), event, attempt, facts)
    return counted


def _add_event(figures: Figures, event: Event, attempt: AttemptFacts | None, facts: Facts) -> None:
    kind = event.attempt_kind
    match event.type:
        case EventType.CHECKOUT_CREATED:
            figures.checkouts_created += 1
        case EventType.CHECKOUT_EXPIRED:
            figures.checkouts_expired += 1
        case EventType.CHECKOUT_CANCELED:
            figures.checkouts_canceled += 1
        case EventType.CHECKOUT_FAILED:
            figures.payments_declined += 1
            figures.declines[_detail(event.detail or "{}").get("declineCode", "declined")] += 1
        # A checkout is AUTHORIZED again after a capture that was declined: that is no second payment.
        case EventType.CHECKOUT_AUTHORIZED if kind == AttemptKind.AUTHORIZE:
            _add_success(figures, event, facts)
        case EventType.CHECKOUT_COMPLETED if kind == AttemptKind.CHARGE:
            _add_success(figures, event, facts)
    if attempt is not None:
        _add_money(figures, event, attempt, facts)


def _add_money(figures: Figures, event: Event, attempt: AttemptFacts, facts: Facts) -> None:
    is_refund = event.attempt_kind == AttemptKind.REFUND  # A reversal gives back what was never counted as captured.
    match event.type:
        case EventType.CHECKOUT_COMPLETED:
            figures.amount_captured += attempt.amount
        case EventType.REFUND_SUCCEEDED if is_refund:
            figures.amount_refunded += attempt.amount
        case EventType.REFUND_FAILED if is_refund and _had_succeeded(event, facts):
            figures.amount_refunded -= attempt.amount
        case EventType.DISPUTE_OPENED | EventType.DISPUTE_WON | EventType.DISPUTE_LOST:
            figures.amount_disputed += _disputed(event, facts)
        case _:
            pass


def _add_success(figures: Figures, event: Event, facts: Facts) -> None:
    figures.payments_succeeded += 1
    begun = facts.first_paid_at.get(event.checkout_id or "")
    if begun is not None:
        figures.settle_times[bucket_of(event.created_at - begun)] += 1


def _had_succeeded(event: Event, facts: Facts) -> bool:
    """Tell whether the outcome of the same refund that was recorded last before this one is a success.

    An event tells it itself; one of an earlier release does not, but the events before it do.
    """
    detail = _detail(event.detail or "{}")
    if PREVIOUS_STATUS in detail:
        return bool(detail[PREVIOUS_STATUS] == AttemptStatus.SUCCEEDED)
    before = [one.type for one in _history_of(event, facts) if one.attempt_id == event.attempt_id]
    return before[-1:] == [EventType.REFUND_SUCCEEDED]


def _disputed(event: Event, facts: Facts) -> int:
    """Tell by how much an event changes what is disputed: the amount of disputes that are open or lost."""
    detail = _detail(event.detail or "{}")
    if detail.get("currency") != facts.currencies[event.checkout_id or ""]:
        return 0  # The checkout does not count it either.
    counts_now = event.type != EventType.DISPUTE_WON
    return int(detail["amount"]) * (counts_now - _was_disputed(event, detail, facts))


def _was_disputed(event: Event, detail: Mapping[str, Any], facts: Facts) -> bool:
    """Tell whether the same dispute was open or lost before an event."""
    if PREVIOUS_STATUS in detail:
        return bool(detail[PREVIOUS_STATUS] != DisputeStatus.WON)
    before = [
        one.type
        for one in _history_of(event, facts)
        if one.type in DISPUTE_TYPES and _detail(one.detail or "{}").get("disputeId") == detail.get("disputeId")
    ]
    return bool(before) and before[-1] != EventType.DISPUTE_WON


def _history_of(event: Event, facts: Facts) -> list[Event]:
    history = facts.histories.get(event.checkout_id or "", ())
    return [one for one in history if one.sequence < event.sequence]
