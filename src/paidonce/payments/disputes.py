"""Disputes: what a buyer's bank takes back, or wants to. They are recorded, with an event for each change. They move no
money of ours.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from paidonce.checkouts import store as checkouts
from paidonce.checkouts.store import id_of
from paidonce.clock import Instant
from paidonce.database.transaction import Transaction
from paidonce.errors import CheckoutNotFound
from paidonce.events.model import PREVIOUS_STATUS, Cause, EventType, NewEvent
from paidonce.ids import DISPUTE, NewId
from paidonce.merchants.model import TenantScopedId
from paidonce.payments import dispute_store as store
from paidonce.payments.dispute_store import RecordedDispute
from paidonce.payments.model import Attempt
from paidonce.providers.evidence import Dispute


class DisputeStatus(StrEnum):
    """Where a dispute stands."""

    OPENED = "OPENED"
    WON = "WON"  # The merchant keeps the amount.
    LOST = "LOST"  # The buyer has it back.


ALLOWED: Final = {
    DisputeStatus.OPENED: {DisputeStatus.WON, DisputeStatus.LOST},
    # Some banks decide again.
    DisputeStatus.WON: {DisputeStatus.LOST},
    DisputeStatus.LOST: {DisputeStatus.WON},
}

EVENT_OF: Final = {
    DisputeStatus.OPENED: EventType.DISPUTE_OPENED,
    DisputeStatus.WON: EventType.DISPUTE_WON,
    DisputeStatus.LOST: EventType.DISPUTE_LOST,
}


def record_dispute(transaction: Transaction, dispute: Dispute, charge: Attempt, *, new_id: NewId) -> bool:
    """Record a dispute of a charge, or how it ended; False where that is known, or better."""
    target = DisputeStatus(dispute.status.upper())
    recorded = _new_dispute(dispute, charge, target, transaction.now, new_id)
    if store.insert_dispute(transaction, recorded):
        source = None
    else:
        known = store.read_dispute(transaction, recorded)
        source = DisputeStatus(known.status)
        if target not in ALLOWED[source]:
            return False
        recorded = msgspec.structs.replace(known, status=target, closed_at=transaction.now)
        if not store.close_dispute(transaction, recorded, source):
            return record_dispute(transaction, dispute, charge, new_id=new_id)  # Another process was first: look again.
    added = _disputed(recorded, target, charge) - (0 if source is None else _disputed(recorded, source, charge))
    checkouts.add_disputed(transaction, TenantScopedId(charge.checkout_id, charge.merchant_id), added)
    transaction.events.append(_event(recorded, charge, source))
    return True


def load_disputes_of_checkouts(
    transaction: Transaction, requests: Sequence[TenantScopedId]
) -> list[list[RecordedDispute] | CheckoutNotFound]:
    """Read the disputes of checkouts, oldest first."""
    seen = checkouts.read_by_id(transaction, set(requests))
    return [
        store.read_disputes(transaction, id_of(seen[request])) if request in seen else CheckoutNotFound()
        for request in requests
    ]


def _new_dispute(
    dispute: Dispute, charge: Attempt, status: DisputeStatus, now: Instant, new_id: NewId
) -> RecordedDispute:
    return RecordedDispute(
        id=new_id(DISPUTE),
        merchant_id=charge.merchant_id,
        checkout_id=charge.checkout_id,
        provider=charge.provider,
        account_id=charge.account_id,
        reference=dispute.reference,
        status=status,
        amount=dispute.amount,
        currency=dispute.currency,
        reason=dispute.reason,
        created_at=now,
        updated_at=now,
        closed_at=None if status is DisputeStatus.OPENED else now,
    )


def _disputed(dispute: RecordedDispute, status: DisputeStatus, charge: Attempt) -> int:
    """What a dispute with this status counts for. One in another currency than the charge's cannot be counted."""
    return dispute.amount if status is not DisputeStatus.WON and dispute.currency == charge.currency else 0


def _event(dispute: RecordedDispute, charge: Attempt, source: DisputeStatus | None) -> NewEvent:
    detail = {
        "disputeId": dispute.id,
        "providerReference": dispute.reference,
        "amount": str(dispute.amount),
        "currency": dispute.currency,
        "reason": dispute.reason,
        PREVIOUS_STATUS: source,  # Statistics need it, and the event of that status may be deleted by then.
    }
    return NewEvent(
        type=EVENT_OF[DisputeStatus(dispute.status)],
        cause=Cause.WEBHOOK,
        merchant_id=dispute.merchant_id,
        mode=charge.mode,
        checkout_id=dispute.checkout_id,
        attempt_id=charge.id,
        detail={name: value for name, value in detail.items() if value is not None},
    )
