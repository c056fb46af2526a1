"""Formats of fields that several features read, as annotated types, and the checks beyond a type and a range."""

from typing import Annotated

from msgspec import Meta

from paidonce import ids
from paidonce.clock import parse_instant
from paidonce.merchants.model import MERCHANT_ID
from paidonce.money import AMOUNT_MAX
from paidonce.redaction import holds_card_number


def whole(pattern: str, description: str | None = None, *, length_max: int | None = None) -> Meta:
    """Ask for a text that matches as a whole: Python's ``$`` would let a line break follow."""
    return Meta(pattern=rf"^{pattern}\Z", description=description, max_length=length_max)


MerchantId = Annotated[str, whole(MERCHANT_ID.pattern, "The merchant: 1 to 128 printable ASCII characters, no space.")]
CheckoutId = Annotated[str, whole(ids.pattern(ids.CHECKOUT))]
Amount = Annotated[int, Meta(ge=1, le=AMOUNT_MAX, description="In the currency's minor unit.")]
Limit = Annotated[int, Meta(ge=1, le=100)]
Text = Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")]
Time = Annotated[
    str,
    whole(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})",
        "RFC 3339, with an offset.",
    ),
    Meta(extra_json_schema={"format": "date-time"}),
]


def check_text(text: str) -> str | None:
    """Refuse a card number that somebody put into a sentence."""
    return "This contains what looks like a card number; leave it out." if holds_card_number(text) else None


def check_instant(text: str) -> str | None:
    """Refuse what is not an RFC 3339 time."""
    try:
        parse_instant(text)
    except (ValueError, OverflowError):
        return "This is not an RFC 3339 time such as 2026-01-02T03:04:05Z."
    return None
