"""What Mollie's API takes, and how it refuses. An unknown field is refused too, so that a mistake is noticed."""

import re
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import iso4217
import msgspec

from paidonce.proving.doubles.calls import ApiFailure, Json, Reply

DECIMALS: Final = {currency.code: currency.exponent for currency in iso4217.Currency if currency.exponent in {0, 2}}
HAL: Final = "application/hal+json"
HTML: Final = "text/html"
DOCUMENTATION: Final = "https://docs.mollie.com/"
VALUE: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
METADATA_BYTES_MAX: Final = 1024
METHODS: Final = frozenset(
    ("applepay", "bancontact", "banktransfer", "blik", "creditcard", "eps", "ideal", "paypal", "satispay", "twint")
)
PAYMENT_FIELDS: Final = frozenset(
    ("amount", "description", "redirectUrl", "cancelUrl", "webhookUrl", "metadata", "method", "captureMode", "locale")
)
CHANGE_FIELDS: Final = frozenset({"amount", "description", "metadata"})


def hal(status: int, body: Json) -> Reply:
    """Return a response with the content type of Mollie's."""
    return Reply(status, body, {"content-type": HAL})


def link(url: str, kind: str) -> Json:
    """Return a URL as Mollie writes it."""
    return {"href": url, "type": kind}


class MollieFailure(ApiFailure):
    """Mollie refuses a call."""

    def __init__(self, status: int, detail: str, field: str | None = None) -> None:
        body: Json = {
            "status": status,
            "title": HTTPStatus(status).phrase,
            "detail": detail,
            "_links": {"documentation": link(DOCUMENTATION, HTML)},
        }
        super().__init__(hal(status, body | ({"field": field} if field else {})))


def read_body(body: bytes) -> Json:
    """Read a body as a JSON object; an empty one is one without fields."""
    try:
        found: Any = msgspec.json.decode(body) if body else {}
    except msgspec.DecodeError:
        raise MollieFailure(400, "The request body contains invalid JSON.") from None
    if not isinstance(found, dict):
        raise MollieFailure(400, "The request body is no object.")
    return found


def check_payment(params: Json) -> None:
    """Check the parameters of a new payment; raises MollieFailure."""
    _check_fields(params, PAYMENT_FIELDS)
    for field in ("amount", "description", "redirectUrl"):
        if not params.get(field):
            raise MollieFailure(422, f"The '{field}' field is missing", field)
    minor_units(params["amount"])
    for field in ("redirectUrl", "cancelUrl", "webhookUrl"):
        if field in params and not urlsplit(params[field]).netloc:
            raise MollieFailure(422, f"The {field} is invalid", field)
    if params.get("method") not in {None, *METHODS}:
        raise MollieFailure(422, "The payment method is invalid", "method")
    if params.get("captureMode") not in {None, "automatic", "manual"}:
        raise MollieFailure(422, "The capture mode is invalid", "captureMode")
    if params.get("captureMode") == "manual" and params.get("method") not in {None, "creditcard"}:
        raise MollieFailure(422, "The payment method does not support manual captures", "captureMode")
    _check_metadata(params)


def check_change(params: Json) -> None:
    """Check the parameters of a capture or a refund; raises MollieFailure."""
    _check_fields(params, CHANGE_FIELDS)
    if "amount" in params:
        minor_units(params["amount"])
    _check_metadata(params)


def check_nothing(params: Json) -> None:
    """Check that there are no parameters; raises MollieFailure."""
    _check_fields(params, frozenset())


def minor_units(amount: Any) -> int:  # noqa: ANN401 - what a client sent
    """Return an amount in minor units; raises MollieFailure where Mollie would refuse how it is written."""
    if not isinstance(amount, dict) or set(amount) != {"currency", "value"}:
        raise MollieFailure(422, "The amount is invalid", "amount")
    decimals, value = DECIMALS.get(amount["currency"]), amount["value"]
    if decimals is None:
        raise MollieFailure(422, "The currency is not supported", "amount.currency")
    if not isinstance(value, str) or not VALUE.fullmatch(value) or len(value.partition(".")[2]) != decimals:
        raise MollieFailure(422, f"The amount must have {decimals} decimals, as text", "amount.value")
    units = int(Decimal(value).scaleb(decimals))
    if units == 0:
        raise MollieFailure(422, "The amount is lower than the minimum", "amount")
    return units


def written(units: int, currency: str) -> Json:
    """Return minor units as Mollie writes them."""
    return {"currency": currency, "value": f"{Decimal(units).scaleb(-(DECIMALS[currency] or 0)):f}"}


def _check_fields(params: Json, known: frozenset[str]) -> None:
    if unknown := sorted(params.keys() - known):
        raise MollieFailure(422, f'Non-existent body parameter "{unknown[0]}"', unknown[0])


def _check_metadata(params: Json) -> None:
    if len(msgspec.json.encode(params.get("metadata"))) > METADATA_BYTES_MAX:
        raise MollieFailure(422, "The metadata is too large", "metadata")
