"""Reads form-encoded parameters, and refuses what Stripe refuses: the unknown, the missing, and the wrong type.

From Stripe's API reference (docs.stripe.com/api), read 2026-11. Only the parameters of the calls that paidonce makes
are known here, and some that it does not use.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import parse_qsl

from paidonce.proving.doubles.calls import ApiFailure, Json, Reply


class StripeFailure(ApiFailure):
    """A response with an error, as Stripe writes it."""

    def __init__(self, status: int, message: str, **fields: object) -> None:
        super().__init__(Reply(status, {"error": {"message": message, "type": "invalid_request_error", **fields}}))


class Field(NamedTuple):
    """A parameter: ``str``, ``int``, the allowed values, nested fields, or a list of one of them."""

    kind: Any
    is_required: bool = False


METADATA: Final = "metadata"
METADATA_KEYS_MAX: Final = 50
METADATA_KEY_LENGTH_MAX: Final = 40
METADATA_VALUE_LENGTH_MAX: Final = 500
CAPTURE_METHODS: Final = ("automatic", "automatic_async", "manual")
EXPAND: Final = {"expand": Field([Field(str)])}

INTENT: Final = {
    **EXPAND,
    "amount": Field(int, is_required=True),
    "currency": Field(str, is_required=True),
    "payment_method": Field(str),
    "allowed_payment_method_types": Field([Field(str)]),
    "capture_method": Field(CAPTURE_METHODS),
    "description": Field(str),
    "metadata": Field(METADATA),
}
CONFIRM: Final = {**EXPAND, "payment_method": Field(str), "return_url": Field(str)}
CAPTURE: Final = {**EXPAND, "amount_to_capture": Field(int), "metadata": Field(METADATA)}
CANCEL: Final = {
    **EXPAND,
    "cancellation_reason": Field(("abandoned", "duplicate", "fraudulent", "requested_by_customer")),
}
REFUND: Final = {
    **EXPAND,
    "payment_intent": Field(str, is_required=True),
    "amount": Field(int),
    "metadata": Field(METADATA),
    "reason": Field(("duplicate", "fraudulent", "requested_by_customer")),
}
REFUND_LIST: Final = {
    **EXPAND,
    "payment_intent": Field(str),
    "limit": Field(int),
    "starting_after": Field(str),
}
PRICE_DATA: Final = {
    "currency": Field(str, is_required=True),
    "unit_amount": Field(int, is_required=True),
    "product_data": Field({"name": Field(str, is_required=True), "description": Field(str)}, is_required=True),
}
SESSION: Final = {
    **EXPAND,
    "mode": Field(("payment",), is_required=True),
    "line_items": Field(
        [Field({"quantity": Field(int, is_required=True), "price_data": Field(PRICE_DATA, is_required=True)})],
        is_required=True,
    ),
    "success_url": Field(str, is_required=True),
    "cancel_url": Field(str),
    "client_reference_id": Field(str),
    "expires_at": Field(int),
    "metadata": Field(METADATA),
    "payment_intent_data": Field(
        {"capture_method": Field(CAPTURE_METHODS), "metadata": Field(METADATA), "description": Field(str)}
    ),
}

Fields: TypeAlias = Mapping[str, Field]


def read_params(encoded: str, fields: Fields) -> Json:
    """Read parameters; raises StripeFailure for the first that Stripe would refuse."""
    nested: Json = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        _put(nested, name, value)
    return _checked_fields(nested, fields, "")


def _put(nested: Json, name: str, value: str) -> None:
    first, *rest = re.findall(r"[^\[\]]+", name) or [name]
    path = [first, *rest]
    for part in path[:-1]:
        nested = nested.setdefault(part, {})
        if not isinstance(nested, dict):
            raise StripeFailure(400, f"Invalid parameter: {name}", param=name)
    nested[path[-1]] = value


def _checked_fields(given: object, fields: Fields, within: str) -> Json:
    if not isinstance(given, dict):
        raise StripeFailure(400, f"Invalid object: {within}", param=within)
    for name in given:
        if name not in fields:
            shown = _name(within, name)
            raise StripeFailure(400, f"Received unknown parameter: {shown}", code="parameter_unknown", param=shown)
    for name, field in fields.items():
        if field.is_required and given.get(name, "") == "":
            shown = _name(within, name)
            raise StripeFailure(400, f"Missing required param: {shown}.", code="parameter_missing", param=shown)
    return {name: _checked(value, fields[name].kind, _name(within, name)) for name, value in given.items()}


def _checked(value: Any, kind: Any, name: str) -> Any:  # noqa: ANN401 - parameters
    if kind is METADATA:
        return _checked_metadata(value, name)
    if isinstance(kind, list):
        if not isinstance(value, dict) or sorted(value) != [str(number) for number in range(len(value))]:
            raise StripeFailure(400, f"Invalid array: {name}", param=name)
        return [_checked(value[str(number)], kind[0].kind, f"{name}[{number}]") for number in range(len(value))]
    if isinstance(kind, dict):
        return _checked_fields(value, kind, name)
    if not isinstance(value, str):
        raise StripeFailure(400, f"Invalid string: {name}", param=name)
    if kind is int:
        if not re.fullmatch(r"-?[0-9]{1,18}", value):
            raise StripeFailure(400, f"Invalid integer: {value}", code="parameter_invalid_integer", param=name)
        return int(value)
    if isinstance(kind, Sequence) and value not in kind:
        raise StripeFailure(400, f"Invalid {name}: must be one of {', '.join(kind)}", param=name)
    return value


def _checked_metadata(value: object, name: str) -> dict[str, str]:
    valid = (
        isinstance(value, dict)
        and len(value) <= METADATA_KEYS_MAX
        and all(
            isinstance(one, str) and len(one) <= METADATA_VALUE_LENGTH_MAX and len(key) <= METADATA_KEY_LENGTH_MAX
            for key, one in value.items()
        )
    )
    if not valid:
        raise StripeFailure(400, f"Invalid metadata: {name}", param=name)
    return dict(value) if isinstance(value, dict) else {}


def _name(within: str, name: str) -> str:
    return f"{within}[{name}]" if within else name
