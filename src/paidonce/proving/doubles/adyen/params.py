"""Reads JSON bodies, and refuses what Adyen refuses: unknown fields, missing ones, and wrong types.

From the API reference of Checkout v72 (docs.adyen.com/api-explorer/Checkout/72), read 2026-11. Only the fields that
paidonce sends are known here, and some that it does not send.
"""

from collections.abc import Mapping
from typing import Any, Final

import iso4217
import msgspec

from paidonce.proving.doubles.calls import ApiFailure, Json, Reply

REFERENCE_LENGTH_MAX: Final = 80
METADATA_SIZE_MAX: Final = 20
METADATA_KEY_LENGTH_MAX: Final = 20
METADATA_VALUE_LENGTH_MAX: Final = 80
KEY_LENGTH_MAX: Final = 64
DESCRIPTION_LENGTH_MAX: Final = 280
TRANSIENT: Final = {"transient-error": "true"}
CURRENCIES: Final = frozenset(currency.code for currency in iso4217.Currency)


class AdyenFailure(ApiFailure):
    """An error, as Adyen writes it."""

    def __init__(self, status: int, code: str, message: str, kind: str = "validation", **headers: str) -> None:
        body = {"status": status, "errorCode": code, "message": message, "errorType": kind}
        super().__init__(Reply(status, body, headers))


Fields = Mapping[str, tuple[type, bool]]
"""The types of fields, and which are required."""

MODIFICATION: Final[Fields] = {"merchantAccount": (str, True), "reference": (str, False)}
AMOUNT: Final[Fields] = {"value": (int, True), "currency": (str, True)}
FIELDS: Final[Mapping[str, Fields]] = {
    "link": {
        "merchantAccount": (str, True),
        "reference": (str, True),
        "amount": (dict, True),
        "allowedPaymentMethods": (list, False),
        "captureDelayHours": (int, False),
        "countryCode": (str, False),
        "description": (str, False),
        "expiresAt": (str, False),
        "manualCapture": (bool, False),
        "metadata": (dict, False),
        "returnUrl": (str, False),
        "reusable": (bool, False),
        "shopperLocale": (str, False),
        "shopperReference": (str, False),
    },
    "link_update": {"status": (str, True)},
    "payment": {
        "merchantAccount": (str, True),
        "reference": (str, True),
        "amount": (dict, True),
        "paymentMethod": (dict, True),
        "returnUrl": (str, True),
        "additionalData": (dict, False),
        "captureDelayHours": (int, False),
        "metadata": (dict, False),
        "recurringProcessingModel": (str, False),
        "shopperInteraction": (str, False),
        "shopperReference": (str, False),
    },
    "capture": {**MODIFICATION, "amount": (dict, True)},
    "cancel": MODIFICATION,
    "refund": {**MODIFICATION, "amount": (dict, True), "merchantRefundReason": (str, False)},
    "payment_methods": {"merchantAccount": (str, True), "countryCode": (str, False), "amount": (dict, False)},
}


def read_body(content: bytes, kind: str) -> Json:
    """Read the body of a request; raises AdyenFailure."""
    try:
        given = msgspec.json.decode(content)
    except msgspec.DecodeError:
        raise AdyenFailure(400, "702", "Unexpected input") from None
    if not isinstance(given, dict):
        raise AdyenFailure(400, "702", "Unexpected input: an object is expected")
    check_fields(given, FIELDS[kind])
    if "amount" in given:
        check_amount(given["amount"])
    if len(given.get("reference", "")) > REFERENCE_LENGTH_MAX:
        raise AdyenFailure(422, "702", "Reference is too long")
    if len(given.get("description", "")) > DESCRIPTION_LENGTH_MAX:
        raise AdyenFailure(422, "702", "Description is too long")
    _check_metadata(given.get("metadata", {}))
    return given


def check_fields(given: Json, fields: Fields) -> None:
    """Refuse unknown, missing and mistyped fields."""
    if unknown := sorted(given.keys() - fields.keys()):
        raise AdyenFailure(400, "702", f"The request contains the following unknown fields: {unknown}")
    if missing := [name for name, (_, is_required) in fields.items() if is_required and name not in given]:
        raise AdyenFailure(422, "702", f"Required field '{missing[0]}' is not provided.")
    for name, value in given.items():
        if type(value) is not fields[name][0]:
            raise AdyenFailure(400, "702", f"Unexpected type of field '{name}'")


def check_amount(amount: Any) -> None:  # noqa: ANN401 - JSON
    """Refuse an amount as Adyen does."""
    check_fields(amount, AMOUNT)
    if amount["currency"] not in CURRENCIES:
        raise AdyenFailure(422, "138", "Currency is not supported")
    if amount["value"] < 1:
        raise AdyenFailure(422, "137", "Invalid amount specified")


def _check_metadata(metadata: Json) -> None:
    if len(metadata) > METADATA_SIZE_MAX:
        raise AdyenFailure(422, "177", "Metadata size exceeds limit")
    for key, value in metadata.items():
        if len(key) > METADATA_KEY_LENGTH_MAX:
            raise AdyenFailure(422, "178", "Metadata key size exceeds limit")
        if not isinstance(value, str) or len(value) > METADATA_VALUE_LENGTH_MAX:
            raise AdyenFailure(422, "179", "Metadata value size exceeds limit")
