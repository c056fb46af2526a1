"""Writes requests to Example Pay: pure functions from our types to the provider's.

Example Pay's unit of money is the minor unit of ISO 4217. Most providers have exceptions: ``amounts.py`` of the other
connectors shows how they are declared.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from paidonce.providers.base import HOSTED_PAGE, ChargeRequest, Modification, WantedCharge
from paidonce.providers.decline_codes import CURRENCY_NOT_SUPPORTED, PAYMENT_METHOD_NOT_SUPPORTED

CURRENCIES: Final = frozenset({"EUR", "GBP", "USD"})


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request. ``key`` is the idempotency key; None where the call has no effect."""

    method: str
    path: str
    body: Mapping[str, object] | None = None
    key: str | None = None


def unsupported(charge: WantedCharge) -> str | None:
    """Return the decline code of what Example Pay cannot take, before anything is sent."""
    if charge.payment_method != HOSTED_PAGE:
        return PAYMENT_METHOD_NOT_SUPPORTED
    return None if charge.money.currency in CURRENCIES else CURRENCY_NOT_SUPPORTED


def create_payment(request: ChargeRequest) -> Call:
    """Create a payment, which the buyer pays on Example Pay's page."""
    body = {
        "key": request.key,
        "checkout": request.checkout_id,
        "amount": request.money.amount,
        "currency": request.money.currency,
        "capture": request.capture,
        "description": request.description,
        "returnUrl": request.return_url,
    }
    return Call(method="POST", path="/payments", body=body, key=request.key)


def retrieve_payment(reference: str) -> Call:
    """Retrieve a payment."""
    return Call(method="GET", path=f"/payments/{quote(reference, safe='')}")


def close_payment(request: ChargeRequest, reference: str) -> Call:
    """Close a payment that is open."""
    path = f"/payments/{quote(reference, safe='')}/close"
    return Call(method="POST", path=path, body={}, key=f"{request.key}-close")


def modify(request: Modification) -> Call:
    """Capture, void or refund a payment."""
    body = {"key": request.key, "amount": request.money.amount}
    path = f"/payments/{quote(request.charge_reference, safe='')}/{request.kind}"
    return Call(method="POST", path=path, body=body, key=request.key)


def retrieve_operation(key: str) -> Call:
    """Retrieve a capture, a void or a refund by our key."""
    return Call(method="GET", path=f"/operations/{quote(key, safe='')}")


def retrieve_account() -> Call:
    """Retrieve the account of the API key. It has no effect."""
    return Call(method="GET", path="/account")
