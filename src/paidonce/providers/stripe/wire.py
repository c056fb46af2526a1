"""Stripe's objects, with the fields that are read here. Fields that are not named are ignored.

From Stripe's API reference (docs.stripe.com/api: PaymentIntents, Checkout Sessions, Refunds, Errors, Events).
"""

from typing import Final, Literal

import msgspec

API_VERSION: Final = "2026-10-28.endive"  # Pinned: Stripe answers in this version, whatever the account's default is.

KEY: Final = "paidonce_key"  # The names of our metadata.
CHECKOUT: Final = "paidonce_checkout"
MERCHANT: Final = "paidonce_merchant"
SESSION: Final = "paidonce_session"
CAPTURE: Final = "paidonce_capture"
HOSTED: Final = "hosted"  # Values of SESSION …
TOKEN: Final = "token"  # noqa: S105 - no secret
EMBEDDED_FIELDS: Final = "embedded"
MANUAL: Final = "manual"  # … and of CAPTURE, which are Stripe's own names too.
AUTOMATIC: Final = "automatic"


class PaymentError(msgspec.Struct, frozen=True):
    """Why the last attempt at a PaymentIntent failed."""

    code: str | None = None
    decline_code: str | None = None

    @property
    def raw_code(self) -> str | None:
        """The most exact code that there is."""
        return self.decline_code or self.code


class RedirectToUrl(msgspec.Struct, frozen=True):
    """Where the buyer authenticates."""

    url: str | None = None


class NextAction(msgspec.Struct, frozen=True):
    """What the buyer must do."""

    redirect_to_url: RedirectToUrl | None = None


class Card(msgspec.Struct, frozen=True):
    """What Stripe tells of the card of a charge. ``capture_before`` is Unix time in seconds."""

    capture_before: int | None = None


class PaymentMethodDetails(msgspec.Struct, frozen=True):
    """How a charge was paid."""

    card: Card | None = None


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """A charge of a PaymentIntent, whose metadata it has. Amounts are in Stripe's unit."""

    object: Literal["charge"]
    id: str
    amount: int
    currency: str
    captured: bool = True
    payment_intent: str | None = None
    payment_method_details: PaymentMethodDetails | None = None
    metadata: dict[str, str] = {}

    @property
    def capture_before(self) -> int | None:
        """When the authorization lapses, as Unix time in milliseconds."""
        card = self.payment_method_details and self.payment_method_details.card
        return card.capture_before * 1000 if card and card.capture_before else None


class PaymentIntent(msgspec.Struct, frozen=True, kw_only=True):
    """A PaymentIntent. Amounts are in Stripe's unit."""

    object: Literal["payment_intent"]
    id: str
    status: str
    amount: int
    currency: str
    amount_capturable: int | None = None
    amount_received: int | None = None
    capture_method: str | None = None
    cancellation_reason: str | None = None
    client_secret: str | None = None
    last_payment_error: PaymentError | None = None
    latest_charge: Charge | str | None = None
    metadata: dict[str, str] = {}
    next_action: NextAction | None = None

    @property
    def is_manual(self) -> bool:
        """Whether the amount is authorized first and captured later."""
        return self.capture_method == MANUAL

    @property
    def is_embedded(self) -> bool:
        """Whether the buyer pays in fields of Stripe's on the merchant's page."""
        return self.metadata.get(SESSION) == EMBEDDED_FIELDS


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A Checkout Session. Its PaymentIntent exists once a buyer has tried to pay."""

    object: Literal["checkout.session"]
    id: str
    status: str | None
    payment_status: str | None = None
    url: str | None = None
    expires_at: int | None = None
    amount_total: int | None = None
    currency: str | None = None
    payment_intent: PaymentIntent | str | None = None
    metadata: dict[str, str] = {}


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund. Amounts are in Stripe's unit."""

    object: Literal["refund"]
    id: str
    status: str | None
    amount: int
    currency: str
    payment_intent: str | None = None
    failure_reason: str | None = None
    metadata: dict[str, str] | None = None


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute. Amounts are in Stripe's unit."""

    object: Literal["dispute"]
    id: str
    status: str
    amount: int
    currency: str
    payment_intent: str | None = None
    reason: str | None = None


class RefundList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of refunds, newest first."""

    object: Literal["list"]
    data: list[Refund]
    has_more: bool


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """The balance of an account. Only the mode of the key that asked is read."""

    object: Literal["balance"]
    livemode: bool


class ApiError(msgspec.Struct, frozen=True, kw_only=True):
    """An error of the API."""

    type: str = ""
    code: str | None = None
    decline_code: str | None = None
    param: str | None = None
    message: str = ""

    @property
    def raw_code(self) -> str | None:
        """The most exact code that there is."""
        return self.decline_code or self.code


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of a response with an error."""

    error: ApiError


class EventData(msgspec.Struct, frozen=True):
    """What an event is about, as it was when the event was created."""

    object: msgspec.Raw


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook."""

    id: str
    type: str
    livemode: bool
    data: EventData
