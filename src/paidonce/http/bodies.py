"""What requests may say. Types and ranges are in the annotations; rules beyond those are in ``checks``."""

import re
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from paidonce.checkouts.model import EXPIRES_IN_SECONDS_MAX, EXPIRES_IN_SECONDS_MIN
from paidonce.clock import parse_instant
from paidonce.http.reading import Fields
from paidonce.money import AMOUNT_MAX, CURRENCIES
from paidonce.redaction import GROUPED, holds_card_number, passes_luhn

DIGITS: Final = re.compile(r"[0-9](?:[ _-]?[0-9]){11,18}")
CARD_NAME: Final = re.compile(r"card|(?:^|[^a-z])(?:pan|cc)(?:$|[^a-z])", re.IGNORECASE)


def whole(pattern: str, description: str | None = None, *, length_max: int | None = None) -> Meta:
    """Ask for a text that fits as a whole: Python's ``$`` would let a line break follow."""
    return Meta(pattern=rf"^{pattern}\Z", description=description, max_length=length_max)


MerchantId = Annotated[str, whole(r"[!-~]{1,128}", "The merchant: 1 to 128 printable ASCII characters, no space.")]
CheckoutId = Annotated[str, whole(r"chk_[0-9a-v]{26}")]
Time = Annotated[
    str,
    whole(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})",
        "RFC 3339, with an offset.",
    ),
    Meta(extra_json_schema={"format": "date-time"}),
]
IdempotencyKey = Annotated[
    str,
    whole(r"[ -~]{1,255}", "Names this purchase for its merchant, for ever: 1 to 255 printable ASCII characters."),
]
Text = Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")]
Url = Annotated[str, whole(r"https?://[!-~]+", "An absolute http or https URL.", length_max=2048)]
MetadataKey = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[^\x00]*$")]
MetadataValue = Annotated[str, Meta(max_length=500, pattern=r"^[^\x00]*$")]
Token = Annotated[
    str,
    whole(
        r"[A-Za-z][A-Za-z0-9_-]{0,254}",
        "A token from the provider, never a card number. The simulator's are listed in its reference.",
    ),
]


def check_currency(code: str) -> str | None:
    """Refuse a code that is not in use."""
    return None if code in CURRENCIES else f"{code} is not an active ISO 4217 currency with a minor unit."


def check_url(url: str) -> str | None:
    """Refuse a URL without a host, or with a port that is none."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        return "This is not a URL."
    return None if parts.hostname else "This URL has no host."


def check_token(token: str) -> str | None:
    """Refuse what looks like a card number, so that none is ever stored. Here an unknown issuer is no excuse."""
    for found in DIGITS.finditer(token):
        if passes_luhn(re.sub(r"[ _-]", "", found[0])):
            return "This looks like a card number; send a token from the provider."
    return None


def check_text(text: str) -> str | None:
    """Refuse a card number that somebody put into a sentence."""
    return "This holds what looks like a card number; leave it out." if holds_card_number(text) else None


def check_metadata(pairs: dict[str, str]) -> str | None:
    """Refuse a card number that is written like one, or named so: bare digits may well be an order's number."""
    for name, value in pairs.items():
        if (GROUPED.search(value) or CARD_NAME.search(name)) and holds_card_number(value):
            return "A value looks like a card number; send none. Is it something else, write it with a letter in front."
    return None


def check_instant(text: str) -> str | None:
    """Refuse what is no RFC 3339 time."""
    try:
        parse_instant(text)
    except (ValueError, OverflowError):
        return "This is not an RFC 3339 time such as 2026-01-02T03:04:05Z."
    return None


class CreateCheckoutBody(Fields, frozen=True, kw_only=True):
    """A checkout to create. ``idempotencyKey`` may come in the Idempotency-Key header instead, and ``merchantId`` from
    a merchant's key.
    """

    merchant_id: MerchantId | None = None
    amount: Annotated[
        int, Meta(ge=1, le=AMOUNT_MAX, description="In the currency's minor unit: 1000 USD is 10.00, 1000 JPY is 1000.")
    ]
    currency: Annotated[str, whole(r"[A-Z]{3}", "ISO 4217, active, upper case.")]
    idempotency_key: IdempotencyKey | None = None
    description: Text | None = None
    metadata: (
        Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=50, description="Yours: at most 50 pairs.")] | None
    ) = None
    expires_in: Annotated[
        int, Meta(ge=EXPIRES_IN_SECONDS_MIN, le=EXPIRES_IN_SECONDS_MAX, description="Seconds from now; default 86400.")
    ] = 86_400
    capture_method: Annotated[
        Literal["automatic", "manual"], Meta(description="`manual` holds the money until it is captured.")
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


class PayBody(Fields, frozen=True, kw_only=True):
    """How to pay; the whole body may be absent."""

    payment_method: Token = "tok_success"
    provider: Annotated[str, whole(r"[a-z][a-z0-9_]{0,63}")] = "simulator"

    checks: ClassVar = {"paymentMethod": check_token}


class CaptureBody(Fields, frozen=True, kw_only=True):
    """How much to capture of what is held; without an amount all of it."""

    amount: Annotated[int, Meta(ge=1, le=AMOUNT_MAX, description="Minor units.")] | None = None


class RefundBody(Fields, frozen=True, kw_only=True):
    """How much to refund of what was captured; without an amount all that is left."""

    amount: Annotated[int, Meta(ge=1, le=AMOUNT_MAX, description="Minor units.")] | None = None
    reason: Text | None = None

    checks: ClassVar = {"reason": check_text}


class CancelBody(Fields, frozen=True, kw_only=True):
    """Nothing needs saying; the body may be absent or ``{}``."""


class ListParameters(Fields, frozen=True, kw_only=True):
    """Which checkouts to list, newest first. ``startingAfter`` and ``endingBefore`` are ids, and exclude each other."""

    merchant_id: MerchantId | None = None
    status: Literal["PENDING", "PROCESSING", "AUTHORIZED", "COMPLETED", "FAILED", "CANCELED", "EXPIRED"] | None = None
    created_after: Annotated[Time, Meta(description="RFC 3339; created later than this.")] | None = None
    created_before: Annotated[Time, Meta(description="RFC 3339; created earlier than this.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    starting_after: CheckoutId | None = None
    ending_before: CheckoutId | None = None

    checks: ClassVar = {"createdAfter": check_instant, "createdBefore": check_instant}


class NoParameters(Fields, frozen=True, kw_only=True):
    """This call takes no parameters."""
