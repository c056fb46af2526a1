"""The checkout: its table of states, and the rules that need no database."""

from enum import StrEnum
from typing import Final

import msgspec

from paidonce.clock import Instant
from paidonce.events.model import Cause, EventType, Origin
from paidonce.merchants.model import Mode

ATTEMPTS_MAX: Final = 5  # The limit on attempts to pay, including those after a decline.
EXPIRES_IN_SECONDS_DEFAULT: Final = 86_400
EXPIRES_IN_SECONDS_MIN: Final = 300
EXPIRES_IN_SECONDS_MAX: Final = 30 * 86_400


class CheckoutStatus(StrEnum):
    """The status of a checkout."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    AUTHORIZED = "AUTHORIZED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


ALLOWED: Final = {
    CheckoutStatus.PENDING: {CheckoutStatus.PROCESSING, CheckoutStatus.CANCELED, CheckoutStatus.EXPIRED},
    # Money may have moved: only evidence from the provider leads to the next status.
    CheckoutStatus.PROCESSING: {CheckoutStatus.COMPLETED, CheckoutStatus.AUTHORIZED, CheckoutStatus.FAILED},
    CheckoutStatus.AUTHORIZED: {CheckoutStatus.PROCESSING, CheckoutStatus.CANCELED, CheckoutStatus.EXPIRED},
    # The provider has confirmed that nothing was charged, so another attempt is safe.
    CheckoutStatus.FAILED: {CheckoutStatus.PROCESSING, CheckoutStatus.CANCELED, CheckoutStatus.EXPIRED},
    CheckoutStatus.COMPLETED: set[CheckoutStatus](),
    CheckoutStatus.CANCELED: set[CheckoutStatus](),
    CheckoutStatus.EXPIRED: set[CheckoutStatus](),
}

# In which another attempt may begin without a change of the status.
KEEPS_STATUS: Final = frozenset({CheckoutStatus.AUTHORIZED, CheckoutStatus.PROCESSING})

PAYABLE: Final = frozenset({CheckoutStatus.PENDING, CheckoutStatus.FAILED})

EVENT_OF: Final = {
    CheckoutStatus.PROCESSING: EventType.CHECKOUT_PROCESSING,
    CheckoutStatus.AUTHORIZED: EventType.CHECKOUT_AUTHORIZED,
    CheckoutStatus.COMPLETED: EventType.CHECKOUT_COMPLETED,
    CheckoutStatus.FAILED: EventType.CHECKOUT_FAILED,
    CheckoutStatus.CANCELED: EventType.CHECKOUT_CANCELED,
    CheckoutStatus.EXPIRED: EventType.CHECKOUT_EXPIRED,
}


class ProviderRoute(msgspec.Struct, frozen=True):
    """Where an attempt is sent: a provider, and the merchant's account with it; None where there are no accounts."""

    provider: str
    account_id: str | None = None

    def __str__(self) -> str:
        """Name it in one word, as stored webhooks do."""
        return self.provider if self.account_id is None else f"{self.provider}/{self.account_id}"


class LatestAttempt(msgspec.Struct, frozen=True):
    """The newest attempt that moves a checkout to another status: the part of it that a checkout shows.

    ``action`` is the JSON text of what the buyer must do; None where nothing is required of them. ``close_reason`` is
    why its session is being closed.
    """

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
    lookup_count: int
    action: str | None
    close_reason: str | None
    account_id: str | None

    @property
    def route(self) -> ProviderRoute:
        """Where it was sent."""
        return ProviderRoute(self.provider, self.account_id)

    @property
    def ended(self) -> bool:
        """Whether the provider has confirmed its outcome."""
        return self.settled_at is not None

    @property
    def held_reference(self) -> str | None:
        """The provider's reference of the amount that is held for an AUTHORIZED checkout. A capture or void that was
        declined names it as the charge that it was to change.
        """
        return self.charge_reference or self.provider_reference


class Checkout(msgspec.Struct, frozen=True):
    """A checkout. Amounts are in minor units; ``metadata`` is the JSON text of an object of strings.

    ``mode`` decides whether money moves: all its attempts go to accounts of this mode.
    ``expires_at_requested`` is what the client requested, where the authorization lapses before that; then
    ``expires_at`` is when the authorization lapses. ``amount_disputed`` is the sum of the disputes that are open or
    lost.
    """

    id: str
    merchant_id: str
    mode: str
    idempotency_key: str
    amount: int
    currency: str
    status: str
    capture_method: str
    amount_captured: int
    amount_refunded: int
    amount_refund_pending: int
    amount_disputed: int
    attempt_count: int
    description: str | None
    metadata: str | None
    success_url: str | None
    cancel_url: str | None
    created_at: Instant
    updated_at: Instant
    expires_at: Instant
    expires_at_requested: Instant | None = None
    attempt: LatestAttempt | None = None

    @property
    def awaits_buyer(self) -> bool:
        """Whether it is PROCESSING and the buyer must act."""
        return self.attempt is not None and self.attempt.action is not None

    @property
    def awaits_provider(self) -> bool:
        """Whether it is PROCESSING and there is nothing to do but wait for the provider, also where that closes the
        session of a buyer who is still expected.
        """
        is_closing = self.attempt is not None and self.attempt.close_reason is not None
        return self.status == CheckoutStatus.PROCESSING and (is_closing or not self.awaits_buyer)

    @property
    def amount_left(self) -> int:
        """What was captured and not refunded, in minor units. Pending refunds are counted as refunded."""
        return self.amount_captured - self.amount_refunded - self.amount_refund_pending

    @property
    def refundable(self) -> int:
        """What a client may still refund, in minor units. What is disputed is taken back by the buyer's bank: a refund
        would return it a second time.
        """
        return max(0, self.amount_left - self.amount_disputed)


class NewCheckout(msgspec.Struct, frozen=True):
    """A request to create a checkout, with the id that it gets if its idempotency key is new."""

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
    mode: str = Mode.TEST.value
    origin: Origin = Origin()


class CheckoutTransition(msgspec.Struct, frozen=True, kw_only=True):
    """A transition to apply. It takes effect only where the status and the newest attempt are still the ones that were
    read.

    ``attempt_id`` is the attempt that the event names. ``starts`` makes it the newest attempt of the checkout, and
    ``counts`` counts it as an attempt to pay. ``captured`` is the amount that is captured, in minor units.
    """

    checkout_id: str
    merchant_id: str
    mode: str
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
        """Refuse a transition that is not in the table, which is a defect of the caller."""
        # An authorization stands until its void is confirmed, and a payment may continue with another account.
        stays = self.source is self.target and self.starts and self.source in KEEPS_STATUS
        assert stays or self.target in ALLOWED[self.source], f"no transition from {self.source} to {self.target}"


def differing_fields(stored: Checkout, wanted: NewCheckout) -> list[str]:
    """Name the fields of the body in which a request differs from the checkout with the same idempotency key."""
    pairs = {
        "amount": (stored.amount, wanted.amount),
        "currency": (stored.currency, wanted.currency),
        "captureMethod": (stored.capture_method, wanted.capture_method),
        "expiresIn": (_requested_seconds(stored), wanted.expires_in_seconds),
        "description": (stored.description, wanted.description),
        "metadata": (stored.metadata, wanted.metadata),
        "successUrl": (stored.success_url, wanted.success_url),
        "cancelUrl": (stored.cancel_url, wanted.cancel_url),
    }
    return [name for name, (before, now) in pairs.items() if before != now]


def _requested_seconds(stored: Checkout) -> int:
    requested = stored.expires_at if stored.expires_at_requested is None else stored.expires_at_requested
    return (requested - stored.created_at) // 1000
