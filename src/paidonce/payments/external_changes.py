"""What was done to a charge at the provider without a request of ours: it is recorded once, with its event."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from paidonce.checkouts import store as checkouts
from paidonce.checkouts.model import Checkout, CheckoutStatus, CheckoutTransition
from paidonce.checkouts.store import RefundSums
from paidonce.database.transaction import Transaction
from paidonce.events.model import Cause, EventType, NewEvent
from paidonce.ids import ATTEMPT, REFUND, NewId
from paidonce.merchants.model import TenantScopedId
from paidonce.payments import external_store, store
from paidonce.payments.disputes import record_dispute
from paidonce.payments.external_reducer import (
    NoChange,
    Postpone,
    RecordRefund,
    RecordVoid,
    RefundDecision,
    ReleaseDecision,
    Review,
    SettleAttempt,
    decide_refund,
    decide_release,
    has_valid_amount,
)
from paidonce.payments.model import BY_PROVIDER, Attempt, AttemptKind, AttemptStatus, recorded_attempt
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.settle import RecordEvidence, record_evidence
from paidonce.providers.evidence import AuthorizationEnded, Dispute, ExternalChange, ExternalRefund, UnclearChange

UNKNOWN_DECLINE: Final = "declined"


class RecordChange(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to the charge of an attempt. ``schedule`` and ``chance`` are as for evidence."""

    charge: Attempt
    change: ExternalChange
    schedule: LookupSchedule
    chance: float
    new_id: NewId


class ChangeResult(StrEnum):
    """What came of it."""

    CHANGED = "CHANGED"
    KNOWN = "KNOWN"
    POSTPONED = "POSTPONED"
    NEEDS_REVIEW = "NEEDS_REVIEW"


class ChangeOutcome(msgspec.Struct, frozen=True):
    """What came of it, and why where nothing could."""

    result: ChangeResult
    reason: str | None = None


KNOWN: Final = ChangeOutcome(ChangeResult.KNOWN)
CHANGED: Final = ChangeOutcome(ChangeResult.CHANGED)


def record_changes(transaction: Transaction, requests: Sequence[RecordChange]) -> list[ChangeOutcome]:
    """Record what was done, one after the other: it is rare, and each may change what follows from the next."""
    return [_record(transaction, request) for request in requests]


def _record(transaction: Transaction, request: RecordChange) -> ChangeOutcome:
    name = TenantScopedId(request.charge.checkout_id, request.charge.merchant_id)
    checkout = checkouts.read_by_id(transaction, [name])[name]
    match request.change:
        case ExternalRefund() as refund:
            return _record_refund(transaction, request, refund, checkout)
        case AuthorizationEnded() as ended:
            returned = external_store.read_returned(transaction, checkout)
            decided = decide_release(
                ended, charge=request.charge, checkout=checkout, returned=returned, now=transaction.now
            )
            return _follow(transaction, request, decided, checkout)
        case UnclearChange(reason):
            return ChangeOutcome(ChangeResult.NEEDS_REVIEW, reason)
        case Dispute() as dispute:
            if not has_valid_amount(dispute.amount):
                reason = f"the provider reported a dispute of {dispute.amount} {dispute.currency}"
                return ChangeOutcome(ChangeResult.NEEDS_REVIEW, reason)
            is_news = record_dispute(transaction, dispute, request.charge, new_id=request.new_id)
            return CHANGED if is_news else KNOWN


def _record_refund(
    transaction: Transaction, request: RecordChange, refund: ExternalRefund, checkout: Checkout
) -> ChangeOutcome:
    # Read after the checkout: a refund that another process records meanwhile changes its sums, which are compared.
    returned = external_store.read_returned(transaction, checkout)
    decided = decide_refund(refund, charge=request.charge, checkout=checkout, returned=returned)
    if not isinstance(decided, RecordRefund):
        return _follow(transaction, request, decided, checkout)
    is_done = decided.status is AttemptStatus.SUCCEEDED
    sums = RefundSums(checkout=checkout, pending=0, refunded=refund.amount if is_done else 0)
    if not checkouts.add_refunds(transaction, [sums]):
        return _record(transaction, request)  # Another process changed them meanwhile: look again.
    recorded = recorded_attempt(
        request.new_id(REFUND),
        request.charge,
        AttemptKind.REFUND,
        now=transaction.now,
        status=decided.status,
        amount=refund.amount,
        reference=refund.reference,
        decline_code=None if is_done else refund.code or UNKNOWN_DECLINE,
        raw_decline_code=None if is_done else refund.raw_code,
    )
    store.insert_attempts(transaction, [recorded])
    transaction.events.append(_event(EventType.REFUND_CREATED, recorded))
    transaction.events.append(_event(EventType.REFUND_SUCCEEDED if is_done else EventType.REFUND_FAILED, recorded))
    return CHANGED


def _follow(
    transaction: Transaction, request: RecordChange, decided: RefundDecision | ReleaseDecision, checkout: Checkout
) -> ChangeOutcome:
    match decided:
        case SettleAttempt(attempt_id, evidence):
            recording = RecordEvidence(
                attempt_id=attempt_id,
                evidence=evidence,
                cause=Cause.WEBHOOK,
                schedule=request.schedule,
                chance=request.chance,
            )
            (settled,) = record_evidence(transaction, [recording])
            return KNOWN if settled.transition is None else CHANGED
        case RecordVoid(target):
            return _record_void(transaction, request, checkout, target)
        case Postpone(reason):
            return ChangeOutcome(ChangeResult.POSTPONED, reason)
        case Review(reason):
            return ChangeOutcome(ChangeResult.NEEDS_REVIEW, reason)
        case NoChange() | RecordRefund():
            return KNOWN


def _record_void(
    transaction: Transaction, request: RecordChange, checkout: Checkout, target: CheckoutStatus
) -> ChangeOutcome:
    """End an AUTHORIZED checkout whose amount is not held any more, in two steps as after a void of ours."""
    assert checkout.attempt is not None, "what is authorized has the attempt that authorized it"
    charge = request.charge
    recorded = recorded_attempt(
        request.new_id(ATTEMPT),
        charge,
        AttemptKind.VOID,
        now=transaction.now,
        status=AttemptStatus.SUCCEEDED,
        amount=checkout.amount,
        reference=charge.charge_reference or charge.provider_reference or "",
    )
    begun = _move(checkout, CheckoutStatus.AUTHORIZED, checkout.attempt.id, recorded)
    if not checkouts.apply_transitions(transaction, [begun]):
        return _record(transaction, request)  # Another process moved it meanwhile: look again.
    store.insert_attempts(transaction, [recorded])
    ended = checkouts.apply_transitions(transaction, [_move(checkout, target, recorded.id, recorded)])
    assert ended, "the same transaction has just changed it"
    return CHANGED


def _move(checkout: Checkout, target: CheckoutStatus, seen_attempt_id: str, recorded: Attempt) -> CheckoutTransition:
    return CheckoutTransition(
        checkout_id=checkout.id,
        merchant_id=checkout.merchant_id,
        mode=checkout.mode,
        source=CheckoutStatus.AUTHORIZED,
        target=target,
        seen_attempt_id=seen_attempt_id,
        attempt_id=recorded.id,
        starts=target is CheckoutStatus.AUTHORIZED,
        cause=Cause.WEBHOOK,
        detail={"kind": recorded.kind, "initiatedBy": BY_PROVIDER},
    )


def _event(kind: EventType, recorded: Attempt) -> NewEvent:
    detail = {
        "amount": str(recorded.amount),
        "initiatedBy": BY_PROVIDER,
        "providerReference": recorded.provider_reference,
        "declineCode": recorded.decline_code,
        "rawDeclineCode": recorded.raw_decline_code,
    }
    return NewEvent(
        type=kind,
        cause=Cause.WEBHOOK,
        merchant_id=recorded.merchant_id,
        mode=recorded.mode,
        checkout_id=recorded.checkout_id,
        attempt_id=recorded.id,
        detail={name: value for name, value in detail.items() if value is not None},
    )
