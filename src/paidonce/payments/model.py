"""What an attempt is, and the reducer: one pure function from an attempt and evidence to what follows.

READY ──> SENT ──> SUCCEEDED | DECLINED          proof ends an attempt, whoever brings it
            └────> UNKNOWN ──> … ──> NEEDS_REVIEW    no proof: asked again on a schedule, then shown to people
"""

from enum import StrEnum
from typing import Final

import msgspec

from paidonce.checkouts.model import CheckoutStatus
from paidonce.clock import Instant
from paidonce.providers.base import Declined, Evidence, NotFound, Succeeded, Unknown


class AttemptKind(StrEnum):
    """What an attempt asks of the provider."""

    CHARGE = "CHARGE"
    AUTHORIZE = "AUTHORIZE"


class AttemptStatus(StrEnum):
    """Where an attempt stands."""

    READY = "READY"
    SENT = "SENT"
    UNKNOWN = "UNKNOWN"
    NEEDS_REVIEW = "NEEDS_REVIEW"
    SUCCEEDED = "SUCCEEDED"
    DECLINED = "DECLINED"


ALLOWED: Final = {
    # Committed, and certainly not sent by anybody.
    AttemptStatus.READY: {AttemptStatus.SENT},
    # From here money may have moved: only the provider's proof ends it.
    AttemptStatus.SENT: {AttemptStatus.SUCCEEDED, AttemptStatus.DECLINED, AttemptStatus.UNKNOWN},
    AttemptStatus.UNKNOWN: {
        AttemptStatus.UNKNOWN,
        AttemptStatus.SUCCEEDED,
        AttemptStatus.DECLINED,
        AttemptStatus.NEEDS_REVIEW,
    },
    AttemptStatus.NEEDS_REVIEW: {AttemptStatus.SUCCEEDED, AttemptStatus.DECLINED},
    AttemptStatus.SUCCEEDED: set[AttemptStatus](),
    AttemptStatus.DECLINED: set[AttemptStatus](),
}

FINAL: Final = frozenset({AttemptStatus.SUCCEEDED, AttemptStatus.DECLINED})

# Where a proof leads the attempt's checkout.
CHECKOUT_AFTER: Final = {
    (AttemptKind.CHARGE, AttemptStatus.SUCCEEDED): CheckoutStatus.COMPLETED,
    (AttemptKind.CHARGE, AttemptStatus.DECLINED): CheckoutStatus.FAILED,
    (AttemptKind.AUTHORIZE, AttemptStatus.SUCCEEDED): CheckoutStatus.AUTHORIZED,
    (AttemptKind.AUTHORIZE, AttemptStatus.DECLINED): CheckoutStatus.FAILED,
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
    created_at: Instant
    updated_at: Instant
    settled_at: Instant | None

    @property
    def may_have_been_sent(self) -> bool:
        """Whether an owner before this one may have called the provider: then it is asked before anything is sent."""
        return self.fence > 1


class Verdict(msgspec.Struct, frozen=True):
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


def judge(
    attempt: Attempt, evidence: Evidence, *, now: Instant, schedule: LookupSchedule, chance: float
) -> Verdict | None:
    """Decide what evidence does to an attempt; None where it changes nothing.

    Proof ends an attempt that is open or in review. Nothing changes one that is final, so the same evidence twice is
    evidence once. What is no proof only sets the time of the next look-up, or, when those are used up, asks for review.
    """
    status = AttemptStatus(attempt.status)
    if status in FINAL:
        return None
    match evidence:
        case Succeeded(reference):
            return Verdict(AttemptStatus.SUCCEEDED, provider_reference=reference)
        case Declined(code, reference):
            return Verdict(AttemptStatus.DECLINED, provider_reference=reference, decline_code=code)
        case Unknown() | NotFound() if status is AttemptStatus.NEEDS_REVIEW:
            return None
        case Unknown() | NotFound():
            reason = evidence.reason if isinstance(evidence, Unknown) else "the provider knows nothing of it yet"
            due_at = schedule.next_due_at(now, attempt.lookup_count, chance)
            if due_at is None:
                return Verdict(AttemptStatus.NEEDS_REVIEW, lookup_count=attempt.lookup_count, reason=reason)
            return Verdict(AttemptStatus.UNKNOWN, due_at=due_at, lookup_count=attempt.lookup_count + 1, reason=reason)
