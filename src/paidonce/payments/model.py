"""What an attempt is, and the statuses that it goes through.

READY ──> SENT ──> SUCCEEDED | DECLINED          evidence from the provider ends an attempt, from any source
            ├────> REQUIRES_ACTION                   the buyer must act: the provider is asked until the session expires
            ├────> ACCEPTED                          the provider will tell the outcome later
            └────> UNKNOWN ──> … ──> NEEDS_REVIEW    no proof: asked again on a schedule, then shown to people
"""

from collections.abc import Sequence
from enum import StrEnum
from operator import attrgetter
from typing import Final

import msgspec

from paidonce.checkouts.model import Checkout, CheckoutStatus, LatestAttempt, ProviderRoute
from paidonce.clock import Instant
from paidonce.providers.evidence import OperationKind


class AttemptKind(StrEnum):
    """What an attempt asks of the provider."""

    CHARGE = "CHARGE"
    AUTHORIZE = "AUTHORIZE"
    CAPTURE = "CAPTURE"
    VOID = "VOID"
    REFUND = "REFUND"
    REVERSAL = "REVERSAL"  # Gives back what was proven too late for its checkout: see ``Attempt.operation``.


class AttemptStatus(StrEnum):
    """Where an attempt stands."""

    READY = "READY"
    SENT = "SENT"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    ACCEPTED = "ACCEPTED"
    UNKNOWN = "UNKNOWN"
    NEEDS_REVIEW = "NEEDS_REVIEW"
    SUCCEEDED = "SUCCEEDED"
    DECLINED = "DECLINED"


class CloseReason(StrEnum):
    """Why the session of an attempt is closed before it expires."""

    CANCELED = "canceled"  # The checkout is canceled once the session takes no money.
    REPLACED = "replaced"  # Another attempt to pay is wanted.


_BY_EVIDENCE: Final = {
    AttemptStatus.SUCCEEDED,
    AttemptStatus.DECLINED,
    AttemptStatus.REQUIRES_ACTION,
    AttemptStatus.ACCEPTED,
    AttemptStatus.UNKNOWN,
    AttemptStatus.NEEDS_REVIEW,
}

ALLOWED: Final = {
    # Committed, and not known to be sent; a claim makes it SENT.
    AttemptStatus.READY: {AttemptStatus.SENT, *_BY_EVIDENCE},
    # From here money may have moved: only the provider's proof ends it.
    AttemptStatus.SENT: {AttemptStatus.SENT, *_BY_EVIDENCE},
    # The buyer has approved: the charge is about to be sent.
    AttemptStatus.REQUIRES_ACTION: {AttemptStatus.SENT, *_BY_EVIDENCE},
    AttemptStatus.ACCEPTED: _BY_EVIDENCE,  # Nothing is sent again.
    AttemptStatus.UNKNOWN: {AttemptStatus.SENT, *_BY_EVIDENCE},
    AttemptStatus.NEEDS_REVIEW: {AttemptStatus.SUCCEEDED, AttemptStatus.DECLINED},
    # Only refunds leave it: see AFTER_SUCCESS.
    AttemptStatus.SUCCEEDED: {AttemptStatus.DECLINED, AttemptStatus.NEEDS_REVIEW},
    # Money that moved after all: the checkout follows it, or the money goes back at once.
    AttemptStatus.DECLINED: {AttemptStatus.SUCCEEDED},
}


# A refund that fails after all: the amount can be refunded again, or where we must return it, a person looks.
AFTER_SUCCESS: Final = {
    (AttemptKind.REFUND, AttemptStatus.DECLINED),
    (AttemptKind.REVERSAL, AttemptStatus.NEEDS_REVIEW),
}


def check_transition(source: AttemptStatus, target: AttemptStatus, kind: AttemptKind | None = None) -> AttemptStatus:
    """Return ``target``. Refuse a transition that is not in the table, which is a defect of the caller."""
    assert target in ALLOWED[source], f"no transition from {source} to {target}"
    is_final = source is AttemptStatus.SUCCEEDED and (kind, target) not in AFTER_SUCCESS
    assert not is_final, f"no transition from {source} to {target} for {kind}"
    return target


def sources_of(target: AttemptStatus) -> tuple[AttemptStatus, ...]:
    """Name the statuses from which the table allows a transition to this one."""
    return tuple(source for source, targets in ALLOWED.items() if target in targets)


FINAL: Final = frozenset({AttemptStatus.SUCCEEDED, AttemptStatus.DECLINED})

# Nothing was learned about the attempt yet: it has no unknown outcome, and no buyer was asked to act.
NEVER_ANSWERED: Final = frozenset({AttemptStatus.READY, AttemptStatus.SENT})

# What gives money back, and is never given up because the provider declines.
GIVES_BACK: Final = frozenset({AttemptKind.VOID, AttemptKind.REVERSAL})

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

BY_PROVIDER: Final = "provider"  # The value of ``initiated_by``.

AUTHORIZATION: Final = "authorization"  # The value of ``reverses``.

_OPERATION_OF: Final[dict[AttemptKind, OperationKind]] = {
    AttemptKind.CHARGE: "charge",
    AttemptKind.AUTHORIZE: "charge",
    AttemptKind.CAPTURE: "capture",
    AttemptKind.VOID: "void",
    AttemptKind.REFUND: "refund",
    AttemptKind.REVERSAL: "refund",
}


# What asks for a buyer's money, and so may continue with another account. What changes a charge never may.
PAYS: Final = frozenset({AttemptKind.CHARGE, AttemptKind.AUTHORIZE})


class Fallback(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """An account with which a payment continues if it is proven not to have begun with the one before.

    With a ``return_url`` it is paid through a session, as an attempt is.
    """

    provider: str
    account_id: str
    return_url: str | None = None

    @property
    def route(self) -> ProviderRoute:
        """Where the payment is sent then."""
        return ProviderRoute(self.provider, self.account_id)


_FALLBACKS_DECODER: Final = msgspec.json.Decoder(tuple[Fallback, ...])


def encode_fallbacks(fallbacks: Sequence[Fallback]) -> str | None:
    """Encode accounts in their order as JSON text; None where there are none."""
    return msgspec.json.encode(fallbacks).decode() if fallbacks else None


def decode_fallbacks(text: str | None) -> tuple[Fallback, ...]:
    """Decode what ``encode_fallbacks`` encoded."""
    return () if text is None else _FALLBACKS_DECODER.decode(text)


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """An attempt as it stands. ``fence`` is the number that its present owner must write under.

    An attempt with a ``return_url`` is paid through a session at the provider, ``session_reference`` once it is open.
    The session is closed at ``session_expires_at``, or earlier for ``close_reason``. ``action`` is the JSON text of
    what the buyer must do. ``initiated_by`` is BY_PROVIDER for what was made at the provider, without a request of
    ours; such an attempt is recorded when it has ended. ``fallbacks`` is the JSON text of the accounts that were not
    tried yet. ``reverses`` is AUTHORIZATION for a reversal that releases one, and None for one that refunds a charge.
    """

    id: str
    merchant_id: str
    mode: str
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
    account_id: str | None = None
    raw_decline_code: str | None = None
    session_reference: str | None = None
    session_expires_at: Instant | None = None
    action: str | None = None
    return_url: str | None = None
    return_token: str | None = None
    close_reason: str | None = None
    initiated_by: str | None = None
    fallbacks: str | None = None
    reverses: str | None = None

    @property
    def operation(self) -> OperationKind:
        """What the provider is asked to do; evidence of anything else proves nothing about it."""
        return "void" if self.reverses == AUTHORIZATION else _OPERATION_OF[AttemptKind(self.kind)]

    def is_closing(self, now: Instant) -> bool:
        """Whether its session must take no money any more."""
        return self.close_reason is not None or (self.session_expires_at is not None and now >= self.session_expires_at)

    @property
    def route(self) -> ProviderRoute:
        """Where it is sent."""
        return ProviderRoute(self.provider, self.account_id)

    @property
    def may_have_been_sent(self) -> bool:
        """Whether an owner before this one may have called the provider: then it is asked before anything is sent."""
        return self.fence > 1

    @property
    def may_have_moved_money(self) -> bool:
        """Whether a call of an owner before this one may have moved money. To open a session moves none."""
        only_opened = self.return_url is not None and self.session_reference is None
        return self.may_have_been_sent and not only_opened


class Transition(msgspec.Struct, frozen=True):
    """What follows for an attempt from evidence. With a ``fallback``, its payment continues with that account."""

    status: AttemptStatus
    due_at: Instant | None = None
    lookup_count: int = 0
    provider_reference: str | None = None
    decline_code: str | None = None
    reason: str | None = None
    raw_decline_code: str | None = None
    session_reference: str | None = None
    action: str | None = None
    fallback: Fallback | None = None


def new_attempt(
    attempt_id: str,
    checkout: Checkout,
    kind: AttemptKind,
    *,
    now: Instant,
    lease_ms: int,
    amount: int,
    route: ProviderRoute,
    payment_method: str,
    charge_reference: str | None = None,
    reason: str | None = None,
    return_url: str | None = None,
    fallbacks: Sequence[Fallback] = (),
    reverses: str | None = None,
) -> Attempt:
    """Return an attempt that is to be committed: READY, or SENT and leased to the process that commits it.

    An attempt with a ``return_url`` is paid through a session at the provider. ``fallbacks`` are for attempts to pay,
    and ``reverses`` is for reversals.
    """
    assert kind in PAYS or not fallbacks, "what changes a charge is sent where the charge is"
    return Attempt(
        id=attempt_id,
        merchant_id=checkout.merchant_id,
        mode=checkout.mode,
        checkout_id=checkout.id,
        kind=kind,
        status=AttemptStatus.SENT if lease_ms else AttemptStatus.READY,
        provider=route.provider,
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
        account_id=route.account_id,
        session_expires_at=checkout.expires_at if return_url else None,
        return_url=return_url,
        return_token=return_url.partition("?")[0].rpartition("/")[2] if return_url else None,
        fallbacks=encode_fallbacks(fallbacks),
        reverses=reverses,
    )


def recorded_attempt(
    attempt_id: str,
    charge: Attempt,
    kind: AttemptKind,
    *,
    now: Instant,
    status: AttemptStatus,
    amount: int,
    reference: str,
    decline_code: str | None = None,
    raw_decline_code: str | None = None,
) -> Attempt:
    """Return an attempt that was made at the provider to a charge, and that has ended. Its key is never sent."""
    return Attempt(
        id=attempt_id,
        merchant_id=charge.merchant_id,
        mode=charge.mode,
        checkout_id=charge.checkout_id,
        kind=kind,
        status=status,
        provider=charge.provider,
        provider_key=attempt_id,
        payment_method=charge.payment_method,
        amount=amount,
        currency=charge.currency,
        due_at=None,
        fence=0,
        lookup_count=0,
        provider_reference=reference,
        decline_code=decline_code,
        charge_reference=charge.charge_reference or charge.provider_reference,
        reason=None,
        created_at=now,
        updated_at=now,
        settled_at=now,
        account_id=charge.account_id,
        raw_decline_code=raw_decline_code,
        initiated_by=BY_PROVIDER,
    )


_shown_by_checkout: Final = attrgetter(*LatestAttempt.__struct_fields__)


def as_latest(attempt: Attempt) -> LatestAttempt:
    """Show an attempt as its checkout does."""
    return LatestAttempt(*_shown_by_checkout(attempt))
