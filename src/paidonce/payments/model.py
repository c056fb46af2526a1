"""What an attempt is, and the reducer: one pure function from an attempt and evidence to what follows.

READY ──> SENT ──> SUCCEEDED | DECLINED          evidence from the provider ends an attempt, from any source
            └────> UNKNOWN ──> … ──> NEEDS_REVIEW    no proof: asked again on a schedule, then shown to people
"""

from enum import StrEnum
from operator import attrgetter
from typing import Final

import msgspec

from paidonce.checkouts.model import Checkout, CheckoutStatus, LatestAttempt
from paidonce.clock import Instant
from paidonce.providers.base import (
    Authorized,
    Declined,
    Evidence,
    NotFound,
    OperationKind,
    RequiresReview,
    Succeeded,
    Unknown,
)


class AttemptKind(StrEnum):
    """What an attempt asks of the provider."""

    CHARGE = "CHARGE"
    AUTHORIZE = "AUTHORIZE"
    CAPTURE = "CAPTURE"
    VOID = "VOID"
    REFUND = "REFUND"
    REVERSAL = "REVERSAL"  # The refund of a charge that was proven too late for its checkout.


class AttemptStatus(StrEnum):
    """Where an attempt stands."""

    READY = "READY"
    SENT = "SENT"
    UNKNOWN = "UNKNOWN"
    NEEDS_REVIEW = "NEEDS_REVIEW"
    SUCCEEDED = "SUCCEEDED"
    DECLINED = "DECLINED"


_BY_EVIDENCE: Final = {
    AttemptStatus.SUCCEEDED,
    AttemptStatus.DECLINED,
    AttemptStatus.UNKNOWN,
    AttemptStatus.NEEDS_REVIEW,
}

ALLOWED: Final = {
    # Committed, and not known to be sent; a claim makes it SENT.
    AttemptStatus.READY: {AttemptStatus.SENT, *_BY_EVIDENCE},
    # From here money may have moved: only the provider's proof ends it.
    AttemptStatus.SENT: _BY_EVIDENCE,
    AttemptStatus.UNKNOWN: _BY_EVIDENCE,
    AttemptStatus.NEEDS_REVIEW: {AttemptStatus.SUCCEEDED, AttemptStatus.DECLINED},
    AttemptStatus.SUCCEEDED: set[AttemptStatus](),
    # Money that moved after all: the checkout follows it, or the money goes back at once.
    AttemptStatus.DECLINED: {AttemptStatus.SUCCEEDED},
}


def check_transition(source: AttemptStatus, target: AttemptStatus) -> AttemptStatus:
    """Return ``target``. Refuse a transition that is not in the table, which is a defect of the caller."""
    assert target in ALLOWED[source], f"no transition from {source} to {target}"
    return target


FINAL: Final = frozenset({AttemptStatus.SUCCEEDED, AttemptStatus.DECLINED})

# Whose success is never lost, however late its proof comes after a decline.
MOVES_MONEY: Final = frozenset({AttemptKind.CHARGE, AttemptKind.CAPTURE, AttemptKind.REFUND})

# Where a proof leads the attempt's checkout from PROCESSING. A void and the refunds do not pass through PROCESSING.
CHECKOUT_AFTER: Final = {
    (AttemptKind.CHARGE, AttemptStatus.SUCCEEDED): CheckoutStatus.COMPLETED,
    (AttemptKind.CHARGE, AttemptStatus.DECLINED): CheckoutStatus.FAILED,
    (AttemptKind.AUTHORIZE, AttemptStatus.SUCCEEDED): CheckoutStatus.AUTHORIZED,
    (AttemptKind.AUTHORIZE, AttemptStatus.DECLINED): CheckoutStatus.FAILED,
    (AttemptKind.CAPTURE, AttemptStatus.SUCCEEDED): CheckoutStatus.COMPLETED,
    # The money is held still: it may be captured again, or let go.
    (AttemptKind.CAPTURE, AttemptStatus.DECLINED): CheckoutStatus.AUTHORIZED,
}

# What the provider is asked to do for each kind of attempt; evidence of anything else proves nothing about it.
OPERATION_OF: Final[dict[AttemptKind, OperationKind]] = {
    AttemptKind.CHARGE: "charge",
    AttemptKind.AUTHORIZE: "charge",
    AttemptKind.CAPTURE: "capture",
    AttemptKind.VOID: "void",
    AttemptKind.REFUND: "refund",
    AttemptKind.REVERSAL: "refund",
}

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

# Most lost answers are found within seconds; an outage takes hours; after a month a person must look.
LOOKUP_DELAYS_SECONDS: Final = (5, 30, 2 * MINUTE, 10 * MINUTE, HOUR, *[HOUR] * 23, *[DAY] * 30)
JITTER: Final = 0.2  # Spreads the look-ups of attempts that were lost together.


class Attempt(msgspec.Struct, frozen=True):
    """An attempt as it stands. ``fence`` is the number that its present owner must write under."""

    id: str
    merchant_id: str
    checkout_id: str
    kind: str
    status: str
    provider: str
    provider_key: str
    payment_method: str
    amount: int
    currency: str
    due_at: Instant | None
    fence: int
    lookup_count: int
    provider_reference: str | None
    decline_code: str | None
    charge_reference: str | None
    reason: str | None
    created_at: Instant
    updated_at: Instant
    settled_at: Instant | None

    @property
    def may_have_been_sent(self) -> bool:
        """Whether an owner before this one may have called the provider: then it is asked before anything is sent."""
        return self.fence > 1


class Transition(msgspec.Struct, frozen=True):
    """What follows for an attempt from evidence."""

    status: AttemptStatus
    due_at: Instant | None = None
    lookup_count: int = 0
    provider_reference: str | None = None
    decline_code: str | None = None
    reason: str | None = None


class LookupSchedule(msgspec.Struct, frozen=True):
    """When an unknown outcome is asked about again; all delays scale with the first."""

    first_seconds: float = float(LOOKUP_DELAYS_SECONDS[0])

    def next_due_at(self, now: Instant, lookup_count: int, chance: float) -> Instant | None:
        """Tell when to ask after ``lookup_count`` look-ups, or None when a person must. ``chance`` is in [0, 1)."""
        if lookup_count >= len(LOOKUP_DELAYS_SECONDS):
            return None
        scale = self.first_seconds / LOOKUP_DELAYS_SECONDS[0]
        jitter = 1 + JITTER * (chance - 0.5)
        return now + max(1, round(LOOKUP_DELAYS_SECONDS[lookup_count] * scale * jitter * 1000))


def decide(
    attempt: Attempt, evidence: Evidence, *, now: Instant, schedule: LookupSchedule, chance: float
) -> Transition | None:
    """Decide what evidence does to an attempt; None where it changes nothing.

    Proof ends an attempt that is open or in review; that money moved outranks a decline. What is no proof only
    sets the time of the next look-up or, when those are used up, asks for review. The same evidence twice is once.
    Evidence of another operation, or of other money, than was asked for proves nothing: a person must look.
    """
    status, kind = AttemptStatus(attempt.status), AttemptKind(attempt.kind)
    if isinstance(evidence, Succeeded | Authorized | Declined) and (other := _contradiction(attempt, evidence)):
        evidence = RequiresReview(other)
    proof = _proof(kind, evidence)
    if status in FINAL:
        late = status is AttemptStatus.DECLINED and kind in MOVES_MONEY
        return proof if late and proof and proof.status is AttemptStatus.SUCCEEDED else None
    if proof is not None or status is AttemptStatus.NEEDS_REVIEW:
        return proof
    if isinstance(evidence, Unknown | NotFound):
        return _look_up_later(attempt, _reason(evidence), schedule.next_due_at(now, attempt.lookup_count, chance))
    return Transition(AttemptStatus.NEEDS_REVIEW, lookup_count=attempt.lookup_count, reason=_reason(evidence))


def _contradiction(attempt: Attempt, evidence: Succeeded | Authorized | Declined) -> str | None:
    """Tell how what a provider speaks of differs from what it was asked for; None where it does not."""
    asked = OPERATION_OF[AttemptKind(attempt.kind)]
    if evidence.kind not in (None, asked):
        return f"the provider reported a {evidence.kind}; a {asked} was requested"
    if isinstance(evidence, Declined):
        return None
    amount = attempt.amount if evidence.amount is None else evidence.amount
    currency = attempt.currency if evidence.currency is None else evidence.currency
    if (amount, currency) == (attempt.amount, attempt.currency):
        return None
    return f"the provider reported {amount} {currency}; {attempt.amount} {attempt.currency} was requested"


def _proof(kind: AttemptKind, evidence: Evidence) -> Transition | None:
    """Tell how evidence ends an attempt of this kind; None where it is no proof of that."""
    match evidence:
        case Succeeded(reference):
            return Transition(AttemptStatus.SUCCEEDED, provider_reference=reference)
        case Authorized(reference) if kind is AttemptKind.AUTHORIZE:
            return Transition(AttemptStatus.SUCCEEDED, provider_reference=reference)
        # Money that is not given back is a person's business, not the end of the matter.
        case Declined(code, reference) if kind not in (AttemptKind.VOID, AttemptKind.REVERSAL):
            return Transition(AttemptStatus.DECLINED, provider_reference=reference, decline_code=code)
    return None


def _reason(evidence: Evidence) -> str:
    match evidence:
        case Unknown(reason) | RequiresReview(reason):
            return reason
        case NotFound():
            return "the provider does not know the operation yet"
        case Declined(code):
            return f"the provider declined to return the money: {code}"
        case Authorized() | Succeeded():
            return "the provider holds money that it was requested to move"


def _look_up_later(attempt: Attempt, reason: str, due_at: Instant | None) -> Transition:
    if due_at is None:
        return Transition(AttemptStatus.NEEDS_REVIEW, lookup_count=attempt.lookup_count, reason=reason)
    return Transition(AttemptStatus.UNKNOWN, due_at=due_at, lookup_count=attempt.lookup_count + 1, reason=reason)


def new_attempt(
    attempt_id: str,
    checkout: Checkout,
    kind: AttemptKind,
    *,
    now: Instant,
    lease_ms: int,
    amount: int,
    provider: str,
    payment_method: str,
    charge_reference: str | None = None,
    reason: str | None = None,
) -> Attempt:
    """Return an attempt that is to be committed: READY, or SENT and leased to the process that commits it."""
    return Attempt(
        id=attempt_id,
        merchant_id=checkout.merchant_id,
        checkout_id=checkout.id,
        kind=kind,
        status=AttemptStatus.SENT if lease_ms else AttemptStatus.READY,
        provider=provider,
        provider_key=attempt_id,
        payment_method=payment_method,
        amount=amount,
        currency=checkout.currency,
        due_at=now + lease_ms,
        fence=1 if lease_ms else 0,
        lookup_count=0,
        provider_reference=None,
        decline_code=None,
        charge_reference=charge_reference,
        reason=reason,
        created_at=now,
        updated_at=now,
        settled_at=None,
    )


_shown_by_checkout: Final = attrgetter(*LatestAttempt.__struct_fields__)


def as_latest(attempt: Attempt) -> LatestAttempt:
    """Show an attempt as its checkout does."""
    return LatestAttempt(*_shown_by_checkout(attempt))
