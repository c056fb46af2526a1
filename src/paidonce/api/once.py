"""Calls that take effect once: what an ``Idempotency-Key`` on a POST is held against, and what it is answered."""

import hashlib
from collections.abc import Callable
from typing import Any, Final

import msgspec

from paidonce import ids
from paidonce.api.exchange import find, origin_of
from paidonce.api.reading import Fields
from paidonce.checkouts.model import CheckoutStatus
from paidonce.idempotency.model import Claim, Once, Told
from paidonce.merchants.model import OwnedId
from paidonce.outbox.model import WebhookEndpoint
from paidonce.payments.pay import Repeated, Started
from paidonce.service import Service
from paidonce.web.request import Request

DAY_MS: Final = 86_400_000
DIGEST_DIGITS: Final = 32


def once(
    request: Request, service: Service, merchant_id: str, said: Fields, tell: Callable[[Any], Told]
) -> Once | None:
    """Tell how a merchant's call takes effect once, for ``submit(*under(once, …))``; None where it bears no key.

    ``said`` is its body as it was read, so that a field that is left out is the same as its default. ``tell``, one
    function for each kind of call, says what is kept of its outcome; what must be shown once, such as a secret, is not.
    """
    origin = origin_of(request)
    if origin.idempotency_key is None:
        return None
    claim = Claim(
        id=ids.new_id(ids.CLAIM),
        merchant_id=merchant_id,
        key=origin.idempotency_key,
        path=request.path.rstrip("/"),
        fields={name: _digest(value) for name, value in msgspec.to_builtins(said).items()},
        kept_ms=service.settings.idempotency_days * DAY_MS,
        request_id=origin.request_id,
    )
    return Once(claim, tell)


async def once_for(
    request: Request, service: Service, wanted: OwnedId, said: Fields, tell: Callable[[Any], Told]
) -> Once | None:
    """Tell how a call about a checkout takes effect once: under the key of that checkout's merchant."""
    if request.header("idempotency-key") is None:
        return None
    checkout = await find(service, wanted)
    return once(request, service, checkout.merchant_id, said, tell)


def tell_under_way(outcome: Started | Repeated) -> Told:
    """Keep of a pay or a capture which attempt it began, or found under way."""
    attempt = outcome.checkout.attempt
    return Told(202, f"/checkouts/{outcome.checkout.id}", attempt.id if attempt else None)


def tell_canceled(outcome: Started | Repeated) -> Told:
    """Keep of a cancel whether it was done at once, and else which attempt lets go of the money."""
    status = 200 if outcome.checkout.status == CheckoutStatus.CANCELED else 202
    attempt = outcome.checkout.attempt if status == 202 else None  # noqa: PLR2004 - the status code is its own name
    return Told(status, f"/checkouts/{outcome.checkout.id}", attempt.id if attempt else None)


def tell_refund(outcome: Started) -> Told:
    """Keep of a refund which it is."""
    return Told(202, f"/refunds/{outcome.attempt.id}", outcome.attempt.id)


def tell_endpoint(outcome: WebhookEndpoint) -> Told:
    """Keep of a webhook endpoint which it is; its secret is shown once and not kept in clear."""
    return Told(201, f"/webhook-endpoints/{outcome.id}")


def _digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:DIGEST_DIGITS]
