"""What the calls about checkouts read and respond with. Types and ranges are in the annotations, other rules in
``checks``.
"""

import re
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from paidonce.checkouts.model import (
    ATTEMPTS_MAX,
    EXPIRES_IN_SECONDS_MAX,
    EXPIRES_IN_SECONDS_MIN,
    Checkout,
    LatestAttempt,
)
from paidonce.clock import format_instant
from paidonce.events.schemas import EventResponse
from paidonce.http.formats import CheckoutId, Limit, Text, Time, check_instant, check_text, whole
from paidonce.http.tenancy import TenantFields
from paidonce.money import AMOUNT_MAX, CURRENCIES
from paidonce.providers.evidence import BuyerAction, Redirect, decode_action
from paidonce.redaction import GROUPED, holds_card_number

CARD_NAME: Final = re.compile(r"card|(?:^|[^a-z])(?:pan|cc)(?:$|[^a-z])", re.IGNORECASE)
EMPTY_OBJECT: Final = msgspec.Raw(b"{}")

IdempotencyKey = Annotated[
    str,
    whole(r"[ -~]{1,255}", "Names this purchase for its merchant, for ever: 1 to 255 printable ASCII characters."),
]
Url = Annotated[str, whole(r"https?://[!-~]+", "An absolute http or https URL.", length_max=2048)]
MetadataKey = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[^\x00]*$")]
MetadataValue = Annotated[str, Meta(max_length=500, pattern=r"^[^\x00]*$")]


def check_currency(code: str) -> str | None:
    """Refuse a code that is not in use."""
    return None if code in CURRENCIES else f"{code} is not an active ISO 4217 currency with a minor unit."


def check_url(url: str) -> str | None:
    """Refuse a URL without a host, or with an invalid port."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        return "This is not a URL."
    return None if parts.hostname else "This URL has no host."


def check_metadata(pairs: dict[str, str]) -> str | None:
    """Refuse a card number that is written like one, or named so: bare digits may well be an order's number."""
    for name, value in pairs.items():
        if (GROUPED.search(value) or CARD_NAME.search(name)) and holds_card_number(value):
            return (
                "A value looks like a card number; card numbers are never accepted here. If it is something else, "
                "write it with a letter in front."
            )
    return None


class CreateCheckoutBody(TenantFields, frozen=True, kw_only=True):
    """A checkout to create. ``idempotencyKey`` may come in the Idempotency-Key header instead, and ``merchantId`` and
    ``mode`` from a merchant's API key.
    """

    amount: Annotated[
        int, Meta(ge=1, le=AMOUNT_MAX, description="In the currency's minor unit: 1000 USD is 10.00, 1000 JPY is 1000.")
    ]
    currency: Annotated[str, whole(r"[A-Z]{3}", "ISO 4217, active, upper case.")]
    idempotency_key: IdempotencyKey | None = None
    description: Text | None = None
    metadata: (
        Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=50, description="Your own data: at most 50 pairs.")]
        | None
    ) = None
    expires_in: Annotated[
        int, Meta(ge=EXPIRES_IN_SECONDS_MIN, le=EXPIRES_IN_SECONDS_MAX, description="Seconds from now; default 86400.")
    ] = 86_400
    capture_method: Annotated[
        Literal["automatic", "manual"],
        Meta(description="`manual` authorizes the amount, which is captured by a later call."),
    ] = "automatic"
    success_url: Url | None = None
    cancel_url: Url | None = None

    checks: ClassVar = {
        "currency": check_currency,
        "description": check_text,
        "metadata": check_metadata,
        "successUrl": check_url,
        "cancelUrl": check_url,
    }


class ListCheckoutsParameters(TenantFields, frozen=True, kw_only=True):
    """Which checkouts to list, newest first. ``startingAfter`` and ``endingBefore`` are ids, and exclude each other."""

    status: Literal["PENDING", "PROCESSING", "AUTHORIZED", "COMPLETED", "FAILED", "CANCELED", "EXPIRED"] | None = None
    created_after: Annotated[Time, Meta(description="RFC 3339; created later than this.")] | None = None
    created_before: Annotated[Time, Meta(description="RFC 3339; created earlier than this.")] | None = None
    limit: Limit = 10
    starting_after: CheckoutId | None = None
    ending_before: CheckoutId | None = None

    checks: ClassVar = {"createdAfter": check_instant, "createdBefore": check_instant}


class ActionResponse(msgspec.Struct, frozen=True, rename="camel"):
    """What the buyer must do before ``expiresAt``.

    For ``redirect`` they visit ``url``. For ``client_secret`` they pay in the provider's fields on the merchant's page:
    the provider's script there is given ``clientSecret``, and ``returnUrl`` as the place to return to.
    """

    type: str
    url: str | None
    expires_at: str | None
    client_secret: str | None = None
    return_url: str | None = None


class AttemptResponse(msgspec.Struct, frozen=True, rename="camel"):
    """The newest attempt that moves a checkout: CHARGE, AUTHORIZE, CAPTURE or VOID.

    ``status`` is READY, SENT, REQUIRES_ACTION, ACCEPTED, UNKNOWN, NEEDS_REVIEW, SUCCEEDED or DECLINED. With
    REQUIRES_ACTION, ``action`` tells what the buyer must do. ``account`` is the provider account that it uses; null at
    the simulator.
    """

    id: str
    kind: str
    status: str
    provider: str
    provider_reference: str | None
    decline_code: str | None
    created_at: str
    settled_at: str | None
    action: ActionResponse | None
    account: str | None


class CheckoutResponse(msgspec.Struct, frozen=True, rename="camel"):
    """A checkout. Amounts are in the currency's minor unit; times are RFC 3339 in UTC with milliseconds.

    ``amountDisputed`` is the sum of the disputes that are open or lost. An AUTHORIZED checkout expires when its
    authorization lapses at the provider, if that is earlier. ``url`` is a page on which the buyer can pay; null where
    that is switched off. Who has the URL can pay and see what is paid for, and can do nothing else.
    """

    id: str
    merchant_id: str
    amount: int
    currency: str
    idempotency_key: str
    status: str
    mode: str
    capture_method: str
    amount_captured: int
    amount_refunded: int
    amount_refund_pending: int
    amount_disputed: int
    attempts_left: int
    attempt: AttemptResponse | None
    description: str | None
    metadata: msgspec.Raw
    success_url: str | None
    cancel_url: str | None
    url: str | None
    created_at: str
    updated_at: str
    expires_at: str


class CheckoutPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of checkouts, newest first."""

    data: list[CheckoutResponse]
    has_more: bool


class Timeline(msgspec.Struct, frozen=True):
    """What happened to a checkout, oldest first. ``complete`` is false where its oldest events are deleted."""

    data: list[EventResponse]
    complete: bool


def checkout_response(checkout: Checkout, url: str | None) -> CheckoutResponse:
    """Show a checkout. ``url`` is that of its page."""
    return CheckoutResponse(
        checkout.id,
        checkout.merchant_id,
        checkout.amount,
        checkout.currency,
        checkout.idempotency_key,
        checkout.status,
        checkout.mode,
        checkout.capture_method,
        checkout.amount_captured,
        checkout.amount_refunded,
        checkout.amount_refund_pending,
        checkout.amount_disputed,
        ATTEMPTS_MAX - checkout.attempt_count,
        _attempt_response(checkout.attempt) if checkout.attempt else None,
        checkout.description,
        msgspec.Raw(checkout.metadata.encode()) if checkout.metadata else EMPTY_OBJECT,
        checkout.success_url,
        checkout.cancel_url,
        url,
        format_instant(checkout.created_at),
        format_instant(checkout.updated_at),
        format_instant(checkout.expires_at),
    )


def _attempt_response(attempt: LatestAttempt) -> AttemptResponse:
    return AttemptResponse(
        attempt.id,
        attempt.kind,
        attempt.status,
        attempt.provider,
        attempt.provider_reference,
        attempt.decline_code,
        format_instant(attempt.created_at),
        None if attempt.settled_at is None else format_instant(attempt.settled_at),
        None if attempt.action is None else _action_response(decode_action(attempt.action)),
        attempt.account_id,
    )


def _action_response(action: BuyerAction) -> ActionResponse:
    expires_at = None if action.expires_at is None else format_instant(action.expires_at)
    if isinstance(action, Redirect):
        return ActionResponse("redirect", action.url, expires_at)
    return ActionResponse("client_secret", None, expires_at, action.secret, action.return_url)
