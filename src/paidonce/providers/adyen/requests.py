"""The requests to Adyen: methods, paths, bodies and idempotency keys. Nothing is sent here.

From the API reference of Checkout v72 (docs.adyen.com/api-explorer/Checkout/72), read 2026-11.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

import msgspec

from paidonce.clock import Instant
from paidonce.providers.adyen.references import reference_of
from paidonce.providers.adyen.wire import API_VERSION, CHECKOUT, MERCHANT
from paidonce.providers.base import ChargeRequest, Modification

KEY_LENGTH_MAX: Final = 64
LINK_SECONDS_MAX: Final = 70 * 24 * 60 * 60
MARGIN_SECONDS: Final = 60 * 60  # For the time until the link is created, and for clocks that differ.
DESCRIPTION_LENGTH_MAX: Final = 280

# The API requires a URL to return to, even where no buyer is redirected. The domain exists nowhere (RFC 2606).
NO_RETURN_URL: Final = "https://no-return.invalid/"

TOKEN: Final = re.compile(r"spm_([A-Za-z0-9]{1,64})_([A-Za-z0-9_-]{3,180})")


class StoredMethod(msgspec.Struct, frozen=True):
    """A payment method that Adyen stored for a shopper: our token is ``spm_<its id>_<the shopper's reference>``."""

    id: str
    shopper_reference: str


class Call(msgspec.Struct, frozen=True):
    """A request to Adyen. A POST that has an effect has a ``key``."""

    method: str
    path: str
    body: Mapping[str, object] | None = None
    key: str | None = None


def read_token(payment_method: str) -> StoredMethod | None:
    """Read a token; None where it is not written as one."""
    found = TOKEN.fullmatch(payment_method)
    return StoredMethod(found[1], found[2]) if found else None


def open_link(request: ChargeRequest, amount: int, merchant_account: str) -> Call:
    """Create a payment link, which one successful payment ends."""
    body: dict[str, object] = {
        "merchantAccount": merchant_account,
        "reference": reference_of(request),
        "amount": {"value": amount, "currency": request.money.currency},
        "reusable": False,
        "metadata": _metadata(request),
        **({"captureDelayHours": 0} if request.capture else {"manualCapture": True}),
    }
    if request.return_url:
        body["returnUrl"] = request.return_url
    if request.description:
        body["description"] = request.description[:DESCRIPTION_LENGTH_MAX]
    if request.expires_at is not None:
        body["expiresAt"] = link_expiry(request.expires_at, request.created_at)
    return Call("POST", _path("paymentLinks"), body, _key(f"{request.key}-open-{request.call_number}"))


def retrieve_link(reference: str) -> Call:
    """Retrieve a payment link."""
    return Call("GET", _path("paymentLinks", reference))


def expire_link(reference: str) -> Call:
    """Expire a payment link. Adyen takes no idempotency key for it, and it needs none."""
    return Call("PATCH", _path("paymentLinks", reference), {"status": "expired"})


def pay(request: ChargeRequest, method: StoredMethod, amount: int, merchant_account: str) -> Call:
    """Pay with a stored payment method, while no buyer is there to authenticate."""
    body: dict[str, object] = {
        "merchantAccount": merchant_account,
        "reference": reference_of(request),
        "amount": {"value": amount, "currency": request.money.currency},
        "paymentMethod": {"type": "scheme", "storedPaymentMethodId": method.id},
        "shopperReference": method.shopper_reference,
        "shopperInteraction": "ContAuth",
        "recurringProcessingModel": "UnscheduledCardOnFile",
        "returnUrl": NO_RETURN_URL,
        "metadata": _metadata(request),
        **({"captureDelayHours": 0} if request.capture else {"additionalData": {"manualCapture": "true"}}),
    }
    return Call("POST", _path("payments"), body, _key(request.key))


def modify(request: Modification, amount: int, merchant_account: str) -> Call:
    """Capture, cancel or refund a payment. After a partial capture Adyen cancels the rest."""
    what = {"capture": "captures", "void": "cancels", "refund": "refunds"}[request.kind]
    body: dict[str, object] = {"merchantAccount": merchant_account, "reference": reference_of(request)}
    if request.kind != "void":
        body["amount"] = {"value": amount, "currency": request.money.currency}
    return Call("POST", _path("payments", request.charge_reference, what), body, _key(request.key))


def list_payment_methods(merchant_account: str) -> Call:
    """List the payment methods: the cheapest call that proves a key and a merchant account."""
    return Call("POST", _path("paymentMethods"), {"merchantAccount": merchant_account})


def link_expiry(wanted: Instant, created_at: Instant) -> str:
    """Return when a link expires: when wanted, within Adyen's limit. The same request has the same expiry."""
    seconds = min(wanted // 1000, created_at // 1000 + LINK_SECONDS_MAX - MARGIN_SECONDS)
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _metadata(request: ChargeRequest) -> Mapping[str, str]:
    return {CHECKOUT: request.checkout_id, MERCHANT: request.merchant_id}


def _key(key: str) -> str:
    return key if len(key) <= KEY_LENGTH_MAX else hashlib.sha256(key.encode()).hexdigest()


def _path(*parts: str) -> str:
    return "/".join(("", API_VERSION, *(quote(part, safe="") for part in parts)))
