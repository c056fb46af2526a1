"""The requests to Mollie: methods, paths, bodies and idempotency keys. Nothing is sent here.

From the OpenAPI specification (github.com/mollie/openapi, read 2026-11). ``Idempotency-Key`` should be a UUID of
version 4, so each key of ours is made into one, always the same.
"""

import hashlib
from collections.abc import Mapping
from typing import Final, TypeAlias
from urllib.parse import parse_qs, quote, urlsplit
from uuid import UUID

import msgspec

from paidonce.providers.base import HOSTED_PAGE, ChargeRequest, Modification
from paidonce.providers.mollie.methods import CARD
from paidonce.providers.mollie.wire import AUTOMATIC, CHECKOUT, KEY, MANUAL, MERCHANT, Amount, Link

Body: TypeAlias = Mapping[str, object]

DESCRIPTION_LENGTH_MAX: Final = 255
PAGE_SIZE: Final = 250  # The most that Mollie lists at once.
WITHOUT_DESCRIPTION: Final = "Payment"


class Call(msgspec.Struct, frozen=True):
    """A request to Mollie. Whatever may have an effect has a ``key``."""

    method: str
    path: str
    body: Body | None = None
    key: str | None = None

    @property
    def may_have_effect(self) -> bool:
        """Whether it is more than a question."""
        return self.method != "GET"


def open_payment(request: ChargeRequest, amount: Amount, webhook_url: str) -> Call:
    """Create a payment, which the buyer pays on Mollie's page."""
    assert request.return_url is not None, "the connector refuses a payment without"
    body: dict[str, object] = {
        "amount": amount,
        "description": (request.description or WITHOUT_DESCRIPTION)[:DESCRIPTION_LENGTH_MAX],
        "redirectUrl": request.return_url,
        "captureMode": AUTOMATIC if request.capture else MANUAL,
        "metadata": {KEY: request.key, CHECKOUT: request.checkout_id, MERCHANT: request.merchant_id},
    }
    if not request.capture:
        body["method"] = CARD
    elif request.payment_method != HOSTED_PAGE:
        body["method"] = request.payment_method
    if webhook_url:
        body["webhookUrl"] = webhook_url
    return Call("POST", "/v2/payments", body, idempotency_key(f"{request.key}-open-{request.call_number}"))


def retrieve_payment(reference: str) -> Call:
    """Retrieve a payment."""
    return Call("GET", _payment(reference))


def retrieve_payment_with_all(reference: str) -> Call:
    """Retrieve a payment with its captures, refunds and chargebacks."""
    return Call("GET", f"{_payment(reference)}?embed=captures,refunds,chargebacks")


def cancel(request: ChargeRequest, reference: str) -> Call:
    """Cancel a payment that nobody pays any more."""
    key = idempotency_key(f"{request.key}-close-{request.call_number}")
    return Call("DELETE", _payment(reference), key=key)


def capture(request: Modification, amount: Amount) -> Call:
    """Capture an amount."""
    return _modify(request, "captures", amount)


def refund(request: Modification, amount: Amount) -> Call:
    """Refund an amount."""
    return _modify(request, "refunds", amount)


def release(request: Modification) -> Call:
    """Release an authorized amount."""
    return _release(request.charge_reference, request.key)


def release_rest(charge_reference: str, capture_key: str) -> Call:
    """Release what the capture with this key has left of an authorized amount."""
    return _release(charge_reference, f"{capture_key}-release")


def list_of(reference: str, what: str, after: str | None = None) -> Call:
    """List the captures or the refunds of a payment, from the one with the id ``after``."""
    start = f"&from={quote(after, safe='')}" if after else ""
    return Call("GET", f"{_payment(reference)}/{what}?limit={PAGE_SIZE}{start}")


def start_of(next_page: Link | None) -> str | None:
    """Return the id that the page after this one starts with; None where there is no such page."""
    query = parse_qs(urlsplit(next_page.href).query) if next_page else {}
    return query.get("from", [None])[0]


def retrieve_profile() -> Call:
    """Retrieve the profile of the key: the cheapest call that proves it."""
    return Call("GET", "/v2/profiles/me")


def idempotency_key(key: str) -> str:
    """Make a key of ours into a UUID of version 4, always the same."""
    return str(UUID(bytes=hashlib.sha256(key.encode()).digest()[:16], version=4))


def _modify(request: Modification, what: str, amount: Amount) -> Call:
    body: Body = {"amount": amount, "metadata": {KEY: request.key}}
    return Call("POST", f"{_payment(request.charge_reference)}/{what}", body, idempotency_key(request.key))


def _release(charge_reference: str, key: str) -> Call:
    return Call("POST", f"{_payment(charge_reference)}/release-authorization", {}, idempotency_key(key))


def _payment(reference: str) -> str:
    return f"/v2/payments/{quote(reference, safe='')}"
