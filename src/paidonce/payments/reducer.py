"""The reducer: one pure function from an attempt and evidence to what follows."""

from typing import NamedTuple

from paidonce.clock import Instant
from paidonce.payments.model import (
    FINAL,
    GIVES_BACK,
    NEVER_ANSWERED,
    Attempt,
    AttemptKind,
    AttemptStatus,
    Fallback,
    Transition,
    decode_fallbacks,
)
from paidonce.payments.schedule import LookupSchedule
from paidonce.providers.evidence import (
    Accepted,
    Authorized,
    Declined,
    Evidence,
    NotDone,
    NotFound,
    Opened,
    RequiresAction,
    RequiresReview,
    Succeeded,
    Unknown,
    encode_action,
)


class _Timing(NamedTuple):
    """When evidence is decided about, and what spreads the next look-up."""

    now: Instant
    schedule: LookupSchedule
    chance: float


def decide(
    attempt: Attempt, evidence: Evidence, *, now: Instant, schedule: LookupSchedule, chance: float
) -> Transition | None:
    """Decide what evidence does to an attempt; None where it changes nothing.

    Proof ends an attempt that is open or in review; that money moved outranks a decline, and that a refund failed
    outranks its success. What is no proof only sets the time of the next look-up or, when those are used up, asks for
    review. The same evidence twice is once.
    Evidence of another operation, or of other money, than was asked for proves nothing: a person must look.
    A payment that is proven not to have begun continues with the next account.
    """
    status, kind = AttemptStatus(attempt.status), AttemptKind(attempt.kind)
    if isinstance(evidence, Succeeded | Authorized | Declined) and (other := _contradiction(attempt, evidence)):
        evidence = RequiresReview(other)
    if isinstance(evidence, NotDone) and (fallback := _fallback(attempt, status, now)):
        return Transition(AttemptStatus.DECLINED, decline_code=evidence.code, reason=evidence.reason, fallback=fallback)
    proof = _proof(attempt, kind, evidence)
    if status in FINAL:
        return _change_of_mind(attempt, kind, evidence, proof)
    if proof is not None or status is AttemptStatus.NEEDS_REVIEW:
        return proof
    return _without_proof(attempt, evidence, _Timing(now, schedule, chance))


def _fallback(attempt: Attempt, status: AttemptStatus, now: Instant) -> Fallback | None:
    """Return the account with which a payment continues whose call had no effect; None where there is none, or where
    anything else was, or may have been, sent before.
    """
    is_first_call = status in NEVER_ANSWERED and not attempt.may_have_moved_money
    if not is_first_call or attempt.is_closing(now):
        return None
    return next(iter(decode_fallbacks(attempt.fallbacks)), None)


def _change_of_mind(
    attempt: Attempt, kind: AttemptKind, evidence: Evidence, proof: Transition | None
) -> Transition | None:
    """Decide whether an attempt ends otherwise than the provider reported first.

    A charge, authorization, capture or refund may succeed after a decline. A refund may fail after it succeeded: then
    its failure is the end, whichever of the two is reported last. It is the same refund where the provider's reference
    is the same.
    """
    is_same = isinstance(evidence, Succeeded | Declined) and evidence.reference == attempt.provider_reference
    is_refund = attempt.operation == "refund"
    match AttemptStatus(attempt.status), evidence:
        case AttemptStatus.DECLINED, Succeeded() | Authorized() if kind not in GIVES_BACK:
            return None if is_refund and is_same and attempt.provider_reference is not None else proof
        case AttemptStatus.SUCCEEDED, Declined(code) if is_refund and is_same and kind in GIVES_BACK:
            reason = f"the refund failed after it had succeeded: {code}"
            return Transition(AttemptStatus.NEEDS_REVIEW, lookup_count=attempt.lookup_count, reason=reason)
        case AttemptStatus.SUCCEEDED, Declined() if is_refund and is_same:
            return proof
    return None


def review_after_success(attempt: Attempt, evidence: Evidence) -> str | None:
    """Tell why a person must look at evidence about an attempt that has succeeded; None where it says nothing new.

    No rule undoes a capture that fails after it succeeded. A provider that reports another charge under the same key
    has charged the buyer twice.
    """
    if attempt.status != AttemptStatus.SUCCEEDED or not isinstance(evidence, Succeeded | Authorized | Declined):
        return None
    if evidence.kind not in (None, attempt.operation):
        return None
    is_same = evidence.reference == attempt.provider_reference
    match AttemptKind(attempt.kind), evidence:
        case AttemptKind.CAPTURE, Declined(code) if is_same:
            return f"the capture failed after it had succeeded: {code}"
        case AttemptKind.CHARGE | AttemptKind.AUTHORIZE, Succeeded() | Authorized() if not is_same:
            return f"the provider reported a second charge, {evidence.reference}"
    return None


def _without_proof(attempt: Attempt, evidence: Evidence, timing: _Timing) -> Transition:
    """Decide what follows for an attempt that stays open."""
    in_time = not attempt.is_closing(timing.now)
    match evidence:
        case RequiresAction(reference, action) if attempt.operation == "charge":
            if in_time:
                return _await_buyer(attempt, reference, encode_action(action), timing)
            return _look_up_later(attempt, evidence, timing)
        case Accepted(reference):
            return _await_outcome(attempt, reference, timing)
        case Opened() | Unknown() | NotFound() | NotDone() if attempt.status == AttemptStatus.ACCEPTED:
            return _await_outcome(attempt, None, timing)
        case Opened() if in_time and attempt.action is not None:
            # A webhook says that the buyer has approved: charge now.
            return Transition(
                AttemptStatus.REQUIRES_ACTION,
                due_at=timing.now,
                lookup_count=attempt.lookup_count,
                action=attempt.action,
            )
        case Unknown() | NotFound() | NotDone() if in_time and attempt.action and attempt.session_reference:
            return _await_buyer(attempt, attempt.session_reference, attempt.action, timing)
        case Opened() | Unknown() | NotFound() | NotDone():
            return _look_up_later(attempt, evidence, timing)
        case _:
            return Transition(AttemptStatus.NEEDS_REVIEW, lookup_count=attempt.lookup_count, reason=_reason(evidence))


def _contradiction(attempt: Attempt, evidence: Succeeded | Authorized | Declined) -> str | None:
    """Tell how what a provider speaks of differs from what it was asked for; None where it does not."""
    asked = attempt.operation
    if evidence.kind not in (None, asked):
        return f"the provider reported a {evidence.kind}; a {asked} was requested"
    if isinstance(evidence, Declined):
        return None
    amount = attempt.amount if evidence.amount is None else evidence.amount
    currency = attempt.currency if evidence.currency is None else evidence.currency
    if (amount, currency) == (attempt.amount, attempt.currency):
        return None
    return f"the provider reported {amount} {currency}; {attempt.amount} {attempt.currency} was requested"


def _proof(attempt: Attempt, kind: AttemptKind, evidence: Evidence) -> Transition | None:
    """Tell how evidence ends an attempt of this kind; None where it is no proof of that."""
    match evidence:
        case Succeeded(reference):
            return Transition(AttemptStatus.SUCCEEDED, provider_reference=reference)
        case Authorized(reference) if kind is AttemptKind.AUTHORIZE:
            return Transition(AttemptStatus.SUCCEEDED, provider_reference=reference)
        # Money that is not given back is a person's business, not the end of the matter.
        case Declined(code, reference) if kind not in GIVES_BACK:
            return Transition(
                AttemptStatus.DECLINED,
                provider_reference=reference,
                decline_code=code,
                raw_decline_code=evidence.raw_code,
            )
        # It proves nothing about a call before this one.
        case NotDone(reason, code, False) if not attempt.may_have_moved_money and kind not in GIVES_BACK:
            return Transition(AttemptStatus.DECLINED, decline_code=code, reason=reason)
    return None


def _reason(evidence: Evidence) -> str:
    match evidence:
        case Unknown(reason) | RequiresReview(reason) | NotDone(reason):
            return reason
        case NotFound():
            return "the provider does not know the operation yet"
        case Declined(code):
            return f"the provider declined to return the money: {code}"
        case Authorized() | Succeeded():
            return "the provider holds money that it was requested to move"
        case RequiresAction() | Opened():
            return "the provider's session is open"
        case Accepted():
            return "the provider accepted the operation and has not reported its outcome"


def _await_buyer(attempt: Attempt, reference: str, action: str, timing: _Timing) -> Transition:
    """Ask again later whether the buyer has acted, at the latest when the session is to be closed."""
    due_at = timing.schedule.next_action_due_at(timing.now, attempt.lookup_count, timing.chance)
    if attempt.session_expires_at is not None:
        due_at = min(due_at, attempt.session_expires_at)
    return Transition(
        AttemptStatus.REQUIRES_ACTION,
        due_at=due_at,
        lookup_count=attempt.lookup_count + 1,
        session_reference=reference,
        action=action,
    )


def _await_outcome(attempt: Attempt, reference: str | None, timing: _Timing) -> Transition:
    """Ask later for the outcome of an operation that the provider has accepted; in the end a person must."""
    count = attempt.lookup_count if attempt.status == AttemptStatus.ACCEPTED else 0
    due_at = timing.schedule.next_accepted_due_at(timing.now, count, timing.chance)
    if due_at is None:
        return Transition(AttemptStatus.NEEDS_REVIEW, lookup_count=count, reason=_reason(Accepted()))
    return Transition(AttemptStatus.ACCEPTED, due_at=due_at, lookup_count=count + 1, provider_reference=reference)


def _look_up_later(attempt: Attempt, evidence: Evidence, timing: _Timing) -> Transition:
    # Look-ups while the buyer had time do not count as look-ups of an unknown outcome.
    count = 0 if attempt.status == AttemptStatus.REQUIRES_ACTION else attempt.lookup_count
    due_at, reason = timing.schedule.next_due_at(timing.now, count, timing.chance), _reason(evidence)
    if due_at is None:
        return Transition(AttemptStatus.NEEDS_REVIEW, lookup_count=count, reason=reason)
    return Transition(AttemptStatus.UNKNOWN, due_at=due_at, lookup_count=count + 1, reason=reason)
