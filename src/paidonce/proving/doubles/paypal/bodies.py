"""The bodies of requests that the double takes; everything else is refused, as PayPal refuses it.

From the OpenAPI documents of Orders v2 and Payments v2 (github.com/paypal/paypal-rest-api-specifications), read
2026-11. Only the fields that paidonce sends are known here, and some that it does not use.
"""

import re
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from paidonce.proving.doubles.paypal.failures import PayPalFailure

CENTS: Final = {
    **dict.fromkeys(("AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "ILS", "MXN"), 2),
    **dict.fromkeys(("MYR", "NOK", "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "USD"), 2),
    **dict.fromkeys(("HUF", "JPY", "TWD"), 0),
}
"""The currencies of PayPal, and how many decimals it takes."""

MINOR_UNITS: Final = {"HUF": 100, "JPY": 1, "TWD": 100}
"""How many minor units of ISO 4217 one unit has, where that is not what the decimals say."""

Intent = Literal["CAPTURE", "AUTHORIZE"]
Text = Annotated[str, Meta(min_length=1, max_length=127)]
Url = Annotated[str, Meta(pattern="^https?://[^ ]+$")]


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A body without unknown fields."""


class Money(Strict, frozen=True):
    """An amount."""

    currency_code: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    value: Annotated[str, Meta(max_length=32, pattern=r"^((-?[0-9]+)|(-?([0-9]+)?[.][0-9]+))$")]


class Unit(Strict, frozen=True):
    """A purchase unit."""

    amount: Money
    reference_id: Annotated[str, Meta(min_length=1, max_length=256)] = "default"
    custom_id: Text | None = None
    invoice_id: Text | None = None
    description: Text | None = None
    soft_descriptor: Annotated[str, Meta(max_length=22)] | None = None


class Experience(Strict, frozen=True):
    """What the buyer sees."""

    return_url: Url
    cancel_url: Url
    brand_name: Text | None = None
    locale: Annotated[str, Meta(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")] | None = None
    landing_page: Literal["LOGIN", "GUEST_CHECKOUT", "NO_PREFERENCE"] = "NO_PREFERENCE"
    payment_method_preference: Literal["UNRESTRICTED", "IMMEDIATE_PAYMENT_REQUIRED"] = "UNRESTRICTED"
    shipping_preference: Literal["GET_FROM_FILE", "NO_SHIPPING", "SET_PROVIDED_ADDRESS"] = "GET_FROM_FILE"
    user_action: Literal["CONTINUE", "PAY_NOW"] = "CONTINUE"


class Wallet(Strict, frozen=True):
    """A PayPal account as the source of money."""

    experience_context: Experience


class Source(Strict, frozen=True):
    """The source of money."""

    paypal: Wallet


class NewOrder(Strict, frozen=True):
    """POST /v2/checkout/orders."""

    intent: Intent
    purchase_units: Annotated[list[Unit], Meta(min_length=1, max_length=1)]
    payment_source: Source


class Change(Strict, frozen=True):
    """One operation of PATCH /v2/checkout/orders/{id}."""

    op: Literal["replace"]
    path: str
    value: Annotated[str, Meta(min_length=1, max_length=127)]


class Nothing(Strict, frozen=True):
    """An empty body."""


class NewCapture(Strict, frozen=True):
    """POST /v2/payments/authorizations/{id}/capture."""

    amount: Money | None = None
    final_capture: bool = False
    invoice_id: Text | None = None
    note_to_payer: Annotated[str, Meta(max_length=255)] | None = None
    soft_descriptor: Annotated[str, Meta(max_length=22)] | None = None


class NewRefund(Strict, frozen=True):
    """POST /v2/payments/captures/{id}/refund."""

    amount: Money | None = None
    custom_id: Text | None = None
    invoice_id: Text | None = None
    note_to_payer: Annotated[str, Meta(min_length=1, max_length=255)] | None = None


T = TypeVar("T")


def read_body(body: bytes, kind: type[T]) -> T:
    """Read a body; raises PayPalFailure where PayPal would refuse it."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise PayPalFailure(400, "INVALID_PARAMETER_SYNTAX", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise PayPalFailure(400, "MALFORMED_REQUEST_JSON") from None


def minor_units(money: Any) -> int:  # noqa: ANN401 - JSON, or a Money
    """Return an amount in minor units of ISO 4217; raises PayPalFailure where PayPal would refuse it."""
    currency, value = (
        (money.currency_code, money.value) if isinstance(money, Money) else (money["currency_code"], money["value"])
    )
    if currency not in CENTS:
        raise PayPalFailure(422, "INVALID_CURRENCY_CODE", field="amount/currency_code")
    whole, _, fraction = value.partition(".")
    if len(fraction) > CENTS[currency]:
        issue = "DECIMAL_PRECISION" if CENTS[currency] else "DECIMALS_NOT_SUPPORTED"
        raise PayPalFailure(422, issue, field="amount/value")
    if not re.fullmatch("[0-9]{1,15}", whole):
        raise PayPalFailure(422, "MAX_VALUE_EXCEEDED" if whole.isdigit() else "CANNOT_BE_ZERO_OR_NEGATIVE")
    amount = int(whole) * MINOR_UNITS.get(currency, 100) + int(fraction.ljust(2, "0") if fraction else 0)
    if amount == 0:
        raise PayPalFailure(422, "CANNOT_BE_ZERO_OR_NEGATIVE", field="amount/value")
    return amount


def written(amount: int, currency: str) -> dict[str, str]:
    """Write an amount in minor units of ISO 4217 as PayPal does."""
    whole, rest = divmod(amount, MINOR_UNITS.get(currency, 100))
    return {"currency_code": currency, "value": f"{whole}.{rest:02}" if CENTS[currency] else str(whole)}
