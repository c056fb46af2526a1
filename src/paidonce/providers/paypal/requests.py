"""The requests to PayPal: methods, paths, bodies and PayPal-Request-Ids. Nothing is sent here.

From the OpenAPI documents of Orders v2 and Payments v2 (github.com/paypal/paypal-rest-api-specifications) and PayPal's
SDK, which is newer, read 2026-11. PayPal stores the request ids of orders for 6 hours, and those of captures, voids and
refunds for 45 days.
"""

from typing import Any, Final, TypeAlias
from urllib.parse import quote

import msgspec

from paidonce.providers.base import ChargeRequest, Modification
from paidonce.providers.paypal.wire import AUTHORIZE, CAPTURE, CLOSED_BY, REFUND, Amount, Intent

Json: TypeAlias = Any

DESCRIPTION_LENGTH_MAX: Final = 127


class Call(msgspec.Struct, frozen=True):
    """A request to PayPal. ``key`` is its PayPal-Request-Id."""

    method: str
    path: str
    body: Json = None
    key: str | None = None


def open_order(request: ChargeRequest, amount: Amount) -> Call:
    """Create an order, which the buyer approves on PayPal's page."""
    assert request.return_url is not None, "the connector refuses an order without"
    unit: dict[str, object] = {"reference_id": request.checkout_id, "custom_id": request.key, "amount": amount}
    if description := (request.description or "").strip()[:DESCRIPTION_LENGTH_MAX]:
        unit["description"] = description
    experience = {
        "return_url": request.return_url,
        "cancel_url": request.return_url,
        "user_action": "PAY_NOW",
        "shipping_preference": "NO_SHIPPING",
    }
    body = {
        "intent": intent_of(request),
        "purchase_units": [unit],
        "payment_source": {"paypal": {"experience_context": experience}},
    }
    return Call("POST", "/v2/checkout/orders", body, f"{request.key}-open")


def charge(request: ChargeRequest, reference: str) -> Call:
    """Capture or authorize an order that the buyer has approved. PayPal does it once for each order, whatever the
    number of request ids.
    """
    action = "capture" if request.capture else "authorize"
    return Call("POST", f"{_order(reference)}/{action}", {}, f"{request.key}-charge-{request.call_number}")


def close(request: ChargeRequest, reference: str, reason: str) -> Call:
    """Give an order the other intent, which we never charge, and write the reason on it."""
    other: Intent = AUTHORIZE if request.capture else CAPTURE
    unit, custom_id = f"/purchase_units/@reference_id=='{request.checkout_id}'", f"{request.key}{CLOSED_BY}{reason}"
    body = [
        {"op": "replace", "path": "/intent", "value": other},
        {"op": "replace", "path": f"{unit}/custom_id", "value": custom_id},
    ]
    return Call("PATCH", _order(reference), body)


def show_order(reference: str) -> Call:
    """Show an order with its payments."""
    return Call("GET", _order(reference))


def show_authorization(reference: str) -> Call:
    """Show an authorization."""
    return Call("GET", _payment("authorizations", reference))


def show_capture(reference: str) -> Call:
    """Show a capture."""
    return Call("GET", _payment("captures", reference))


def capture(request: Modification, amount: Amount) -> Call:
    """Capture an authorized amount once. PayPal releases the rest. Only ``invoice_id`` can name our operation."""
    body = {"amount": amount, "final_capture": True, "invoice_id": request.key}
    return Call("POST", f"{_payment('authorizations', request.charge_reference)}/capture", body, request.key)


def void(request: Modification) -> Call:
    """Release an authorized amount."""
    return Call("POST", f"{_payment('authorizations', request.charge_reference)}/void", {}, request.key)


def refund(request: Modification, amount: Amount, capture_id: str) -> Call:
    """Refund an amount of a capture."""
    body = {"amount": amount, "custom_id": f"{REFUND}{request.key}"}
    return Call("POST", f"{_payment('captures', capture_id)}/refund", body, request.key)


def intent_of(request: ChargeRequest) -> Intent:
    """Return the intent of the order for a charge or an authorization."""
    return CAPTURE if request.capture else AUTHORIZE


def _order(reference: str) -> str:
    return f"/v2/checkout/orders/{quote(reference, safe='')}"


def _payment(kind: str, reference: str) -> str:
    return f"/v2/payments/{kind}/{quote(reference, safe='')}"
