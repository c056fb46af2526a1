"""What is kept of an answer for those who repeat the request: its status, and the path of what was made or changed."""

import msgspec

from paidonce.checkouts.model import CheckoutStatus
from paidonce.http.answers_webhooks import Redelivered
from paidonce.idempotency.model import Told
from paidonce.merchants.actions import Issued, MerchantMade
from paidonce.merchants.model import Key
from paidonce.payments.pay import Repeated, Started
from paidonce.webhook_endpoints.actions import SendTest
from paidonce.webhook_endpoints.model import WebhookEndpoint
from paidonce.webhook_endpoints.redelivery import RangeRedelivered, RedeliverRange
from paidonce.webhook_endpoints.resending import ShownDelivery


def tell_under_way(_request: object, outcome: Started | Repeated) -> Told:
    """Keep of a pay or a capture which attempt it began, or found under way."""
    attempt = outcome.checkout.attempt
    return Told(202, f"/checkouts/{outcome.checkout.id}", attempt.id if attempt else None)


def tell_canceled(_request: object, outcome: Started | Repeated) -> Told:
    """Keep of a cancel whether it was done at once, and else which attempt lets go of the money."""
    status = 200 if outcome.checkout.status == CheckoutStatus.CANCELED else 202
    attempt = outcome.checkout.attempt if status == 202 else None  # noqa: PLR2004 - the status code is its own name
    return Told(status, f"/checkouts/{outcome.checkout.id}", attempt.id if attempt else None)


def tell_refund(_request: object, outcome: Started) -> Told:
    """Keep of a refund which it is."""
    return Told(202, f"/refunds/{outcome.attempt.id}", outcome.attempt.id)


def tell_endpoint_created(_request: object, outcome: WebhookEndpoint) -> Told:
    """Keep which webhook endpoint was created."""
    return Told(201, f"/webhook-endpoints/{outcome.id}")


def tell_secret_rotated(_request: object, outcome: WebhookEndpoint) -> Told:
    """Keep whose secret was replaced."""
    return Told(200, f"/webhook-endpoints/{outcome.id}")


def tell_test_sent(request: SendTest, _outcome: WebhookEndpoint) -> Told:
    """Keep which delivery tells of the test event."""
    return Told(202, f"/deliveries/{request.delivery_id}")


def tell_redelivered(_request: object, outcome: ShownDelivery) -> Told:
    """Keep which delivery was made due."""
    return Told(202, f"/deliveries/{outcome.delivery.id}")


def tell_range_redelivered(request: RedeliverRange, outcome: RangeRedelivered) -> Told:
    """Keep how many deliveries were made due: no resource tells that later."""
    answer = msgspec.json.encode(Redelivered(outcome.deliveries, outcome.remaining)).decode()
    return Told(202, f"/webhook-endpoints/{request.endpoint.id}", answer=answer)


def tell_merchant_created(_request: object, outcome: MerchantMade) -> Told:
    """Keep which merchant was created."""
    return Told(201, f"/merchants/{outcome.merchant.id}")


def tell_key_issued(_request: object, outcome: Issued) -> Told:
    """Keep which API key was made."""
    return Told(201, f"/keys/{outcome.key.id}")


def tell_key_revoked(_request: object, outcome: Key) -> Told:
    """Keep which API key was revoked."""
    return Told(200, f"/keys/{outcome.id}")
