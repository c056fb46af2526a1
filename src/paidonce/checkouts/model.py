"""What a checkout is: its states as a table, and the rules that hold before anything is asked of a database."""

from enum import StrEnum
from typing import Final

import msgspec

from paidonce.clock import Instant
from paidonce.events.model import Cause, EventType, Origin

ATTEMPTS_MAX: Final = 5  # The contract's limit on paying again after a decline.
EXPIRES_IN_SECONDS_DEFAULT: Final = 86_400
EXPIRES_IN_SECONDS_MIN: Final = 300
EXPIRES_IN_SECONDS_MAX: Final = 30 * 86_400


class CheckoutStatus(StrEnum):
    """Where a checkout stands."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    AUTHORIZED = "AUTHORIZED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


ALLOWED: Final = {
    CheckoutStatus.PENDING: {CheckoutStatus.PROCESSING, CheckoutStatus.CANCELED, CheckoutStatus.EXPIRED},
    # From here money may have moved: only the provider's proof leads on.
    CheckoutStatus.PROCESSING: {CheckoutStatus.COMPLETED, CheckoutStatus.AUTHORIZED, CheckoutStatus.FAILED},
    CheckoutStatus.AUTHORIZED: {CheckoutStatus.PROCESSING, CheckoutStatus.CANCELED, CheckoutStatus.EXPIRED},
    # The provider proved that nothing was charged, so another try is safe.
    CheckoutStatus.FAILED: {CheckoutStatus.PROCESSING, CheckoutStatus.CANCELED, CheckoutStatus.EXPIRED},
    CheckoutStatus.COMPLETED: set[CheckoutStatus](),
    CheckoutStatus.CANCELED: set[CheckoutStatus](),
    CheckoutStatus.EXPIRED: set[CheckoutStatus](),
}

PAYABLE: Final = frozenset({CheckoutStatus.PENDING, CheckoutStatus.FAILED})

EVENT_OF: Final = {
    CheckoutStatus.PROCESSING: EventType.CHECKOUT_PROCESSING,
    CheckoutStatus.AUTHORIZED: EventType.CHECKOUT_AUTHORIZED,
    CheckoutStatus.COMPLETED: EventType.CHECKOUT_COMPLETED,
    CheckoutStatus.FAILED: EventType.CHECKOUT_FAILED,
    CheckoutStatus.CANCELED: EventType.CHECKOUT_CANCELED,
    CheckoutStatus.EXPIRED: EventType.CHECKOUT_EXPIRED,
}


class LatestAttempt(msgspec.Struct, frozen=True):
    """The newest attempt that moves a checkout, as much of it as a checkout shows."""

    id: str
    kind: str
    status: str
    provider: str
    payment_method: str
    amount: int
    charge_reference: str | None
    provider_reference: str | None
    decline_code: str | None
    created_at: Instant
    settled_at: Instant | None

    @property
    def ended(self) -> bool:
        """Whether a proof ended it."""
        return self.settled_at is not None


class Checkout(msgspec.Struct, frozen=True):
    """A checkout as it stands. Amounts are minor units; ``metadata`` is the JSON text of an object of strings."""

    id: str
    merchant_id: str
    idempotency_key: str
    amount: int
    currency: str
    status: str
    capture_method: str
    amount_captured: int
    amount_refunded: int
    amount_refund_pending: int
    attempt_count: int
    description: str | None
    metadata: str | None
    success_url: str | None
    cancel_url: str | None
    created_at: Instant
    updated_at: Instant
    expires_at: Instant
    attempt: LatestAttempt | None = None

    @property
    def refundable(self) -> int:
        """What can still be refunded, in minor units: refunds under way are counted as done."""
        return self.amount_captured - self.amount_refunded - self.amount_refund_pending


class NewCheckout(msgspec.Struct, frozen=True):
    """A request to create a checkout, with the id that it gets where its idempotency key is new."""

    id: str
    merchant_id: str
    idempotency_key: str
    amount: int
    currency: str
    expires_in_seconds: int = EXPIRES_IN_SECONDS_DEFAULT
    capture_method: str = "automatic"
    description: str | None = None
    metadata: str | None = None
    success_url: str | None = None
    cancel_url: str | None = None
    origin: Origin = Origin()


class CheckoutTransition(msgspec.Struct, frozen=True, kw_only=True):
    """A transition that is wanted: it takes place only where status and newest attempt are still as seen.

    ``attempt_id`` is the attempt that the event tells of; ``starts`` makes it the checkout's newest, and ``counts``
    makes it one of the tries to pay. ``captured`` is what is taken, in minor units.
    """

    checkout_id: str
    merchant_id: str
    source: CheckoutStatus
    target: CheckoutStatus
    seen_attempt_id: str | None
    cause: Cause
    origin: Origin = Origin()
    attempt_id: str | None = None
    starts: bool = False
    counts: bool = False
    captured: int = 0
    detail: dict[str, str] | None = None

    def __post_init__(self) -> None:
        """Refuse a transition that the table does not know: that is a defect, whoever asks for it."""
        stays = self.source is self.target and self.starts  # A void: the money is held until it is proven.
        assert stays or self.target in ALLOWED[self.source], f"no transition from {self.source} to {self.target}"


def differing_fields(stored: Checkout, wanted: NewCheckout) -> list[str]:
    """Name the body's fields in which a stored checkout differs from a request with the same idempotency key."""
    pairs = {
        "amount": (stored.amount, wanted.amount),
        "currency": (stored.currency, wanted.currency),
        "captureMethod": (stored.capture_method, wanted.capture_method),
        "expiresIn": ((stored.expires_at - stored.created_at) // 1000, wanted.expires_in_seconds),
        "description": (stored.description, wanted.description),
        "metadata": (stored.metadata, wanted.metadata),
        "successUrl": (stored.success_url, wanted.success_url),
        "cancelUrl": (stored.cancel_url, wanted.cancel_url),
    }
    return [name for name, (before, now) in pairs.items() if before != now]
