"""The requests to Stripe: methods, paths, parameters and idempotency keys. Nothing is sent here.

Parameters are form-encoded, with brackets for what is nested (docs.stripe.com/api). The key of a request ends with what
may change between two calls, so that Stripe never compares different parameters under one key.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias
from urllib.parse import quote, urlencode

import msgspec

from paidonce.clock import Instant
from paidonce.providers.base import EMBEDDED, HOSTED_PAGE, ChargeRequest, Modification
from paidonce.providers.stripe.wire import (
    AUTOMATIC,
    CAPTURE,
    CHECKOUT,
    EMBEDDED_FIELDS,
    HOSTED,
    KEY,
    MANUAL,
    MERCHANT,
    SESSION,
    TOKEN,
)

Params: TypeAlias = Mapping[str, object]
"""Strings, integers, lists and more parameters."""

SESSION_SECONDS_MIN: Final = 30 * 60  # Stripe's limits for expires_at, counted from when Stripe creates the session.
SESSION_SECONDS_MAX: Final = 24 * 60 * 60
MARGIN_SECONDS: Final = 60  # For the way to Stripe, and for clocks that differ.
NAME_LENGTH_MAX: Final = 250
PAGE_SIZE: Final = 100  # The most that Stripe lists at once.
WITHOUT_DESCRIPTION: Final = "Payment"


class Call(msgspec.Struct, frozen=True):
    """A request to Stripe. A POST has a ``key``."""

    method: str
    path: str
    params: Params = {}
    key: str | None = None

    @property
    def body(self) -> bytes | None:
        """The body of a POST."""
        return form_encoded(self.params) if self.method == "POST" else None


def open_session(request: ChargeRequest, amount: int, now: Instant) -> Call:
    """Create a Checkout Session, which the buyer pays on Stripe's page."""
    assert request.return_url is not None, "the connector refuses a session without"
    expires_at = session_expiry(request.expires_at or now, now)
    name = (request.description or WITHOUT_DESCRIPTION)[:NAME_LENGTH_MAX]
    metadata = _metadata(request, HOSTED)
    params: Params = {
        "mode": "payment",
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": request.money.currency.lower(),
                    "unit_amount": amount,
                    "product_data": {"name": name},
                },
            }
        ],
        "success_url": request.return_url,
        "cancel_url": request.return_url,
        "client_reference_id": request.checkout_id,
        "expires_at": expires_at,
        "metadata": metadata,
        "payment_intent_data": {"capture_method": _capture_method(request), "metadata": metadata},
    }
    return Call("POST", "/v1/checkout/sessions", params, f"{request.key}-open-{request.call_number}-{expires_at}")


def open_intent(request: ChargeRequest, amount: int) -> Call:
    """Create a PaymentIntent: with a payment method, or for fields of Stripe's on the merchant's page (a Payment
    Element). It charges nothing until it is confirmed: by us, or by the buyer with its client secret.
    """
    is_embedded = request.payment_method == EMBEDDED
    params: dict[str, object] = {
        "amount": amount,
        "currency": request.money.currency.lower(),
        "capture_method": _capture_method(request),
        "metadata": _metadata(request, EMBEDDED_FIELDS if is_embedded else TOKEN),
    }
    if not is_embedded:
        params["payment_method"] = request.payment_method
    if request.description:
        params["description"] = request.description
    return Call("POST", "/v1/payment_intents", params, f"{request.key}-open-{request.call_number}")


def confirm(request: ChargeRequest, reference: str) -> Call:
    """Confirm a PaymentIntent: charge or authorize. It is paid at most once, whatever the number of keys."""
    params: dict[str, object] = {"expand": ["latest_charge"]}
    if request.return_url:
        params["return_url"] = request.return_url
    return Call("POST", f"{_intent(reference)}/confirm", params, f"{request.key}-charge-{request.call_number}")


def cancel(request: ChargeRequest, reference: str) -> Call:
    """Cancel a PaymentIntent that nobody pays any more."""
    params: Params = {"cancellation_reason": "abandoned"}
    return Call("POST", f"{_intent(reference)}/cancel", params, f"{request.key}-close-{request.call_number}")


def expire(request: ChargeRequest, reference: str) -> Call:
    """Expire a Checkout Session."""
    params: Params = {"expand": ["payment_intent", "payment_intent.latest_charge"]}
    return Call("POST", f"{_session(reference)}/expire", params, f"{request.key}-close-{request.call_number}")


def retrieve_session(reference: str) -> Call:
    """Retrieve a Checkout Session with its PaymentIntent and the charge of that."""
    expand = {"expand[0]": "payment_intent", "expand[1]": "payment_intent.latest_charge"}
    return Call("GET", f"{_session(reference)}?{urlencode(expand)}")


def retrieve_intent(reference: str) -> Call:
    """Retrieve a PaymentIntent with its charge, which tells when an authorization lapses."""
    return Call("GET", f"{_intent(reference)}?{urlencode({'expand[0]': 'latest_charge'})}")


def capture(request: Modification, amount: int) -> Call:
    """Capture an amount. Stripe releases the rest. It captures once, whatever the number of keys."""
    path = f"{_intent(request.charge_reference)}/capture"
    return Call("POST", path, {"amount_to_capture": amount}, _key_of_call(request))


def void(request: Modification) -> Call:
    """Release an authorized amount: cancel its PaymentIntent."""
    return Call("POST", f"{_intent(request.charge_reference)}/cancel", {}, _key_of_call(request))


def refund(request: Modification, amount: int) -> Call:
    """Refund an amount."""
    params: Params = {"payment_intent": request.charge_reference, "amount": amount, "metadata": {KEY: request.key}}
    return Call("POST", "/v1/refunds", params, request.key)


def list_refunds(charge_reference: str, after: str | None) -> Call:
    """List the refunds of a PaymentIntent, newest first, from the one after ``after``."""
    query = {"payment_intent": charge_reference, "limit": PAGE_SIZE} | ({"starting_after": after} if after else {})
    return Call("GET", f"/v1/refunds?{urlencode(query)}")


def retrieve_balance() -> Call:
    """Retrieve the balance: the cheapest call that proves a key."""
    return Call("GET", "/v1/balance")


def session_expiry(wanted: Instant, now: Instant) -> int:
    """Return when a session expires, as Unix time in seconds: when wanted, within Stripe's limits."""
    now_seconds = now // 1000
    soonest = now_seconds + SESSION_SECONDS_MIN + MARGIN_SECONDS
    return min(max(wanted // 1000, soonest), now_seconds + SESSION_SECONDS_MAX - MARGIN_SECONDS)


def form_encoded(params: Params) -> bytes:
    """Encode parameters as a form: ``a[b][0]=c``."""
    return urlencode(_flat(params)).encode()


def _flat(params: object, name: str = "") -> list[tuple[str, str]]:
    if isinstance(params, Mapping):
        return [pair for key, value in params.items() for pair in _flat(value, f"{name}[{key}]" if name else key)]
    if isinstance(params, list):
        return [pair for number, value in enumerate(params) for pair in _flat(value, f"{name}[{number}]")]
    return [(name, str(params))]


def _capture_method(request: ChargeRequest) -> str:
    return AUTOMATIC if request.capture else MANUAL


def _metadata(request: ChargeRequest, session: str) -> Params:
    return {
        KEY: request.key,
        CHECKOUT: request.checkout_id,
        MERCHANT: request.merchant_id,
        SESSION: session,
        CAPTURE: _capture_method(request),
    }


def is_hosted(request: ChargeRequest) -> bool:
    """Return whether the buyer pays on Stripe's page."""
    return request.payment_method == HOSTED_PAGE


def is_paid_by_buyer(request: ChargeRequest) -> bool:
    """Return whether the buyer confirms the payment, so that no call of ours moves money."""
    return request.payment_method in {HOSTED_PAGE, EMBEDDED}


def _intent(reference: str) -> str:
    return f"/v1/payment_intents/{quote(reference, safe='')}"


def _session(reference: str) -> str:
    return f"/v1/checkout/sessions/{quote(reference, safe='')}"


def _key_of_call(request: Modification) -> str:
    """Return another key for each call: Stripe stores a 500 for its key, also one that had no effect."""
    return f"{request.key}-{request.call_number}"
