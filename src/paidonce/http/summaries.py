"""What is kept of an answer for those who repeat the request: its status, and the path of what was made or changed."""

import msgspec

from paidonce.checkouts.model import CheckoutStatus
from paidonce.http.answers_webhooks import Redelivered
from paidonce.idempotency.model import StoredResponse
from paidonce.merchants.actions import CreatedMerchant, IssuedKey
from paidonce.merchants.model import ApiKey
from paidonce.payments.pay import Repeated, Started
from paidonce.webhook_endpoints.actions import SendTest
from paidonce.webhook_endpoints.model import WebhookEndpoint
from paidonce.webhook_endpoints.redelivery import RangeRedelivered, RedeliverRange
from paidonce.webhook_endpoints.resending import ShownDelivery


def summarize_attempt(_request: object, outcome: Started | Repeated) -> StoredResponse:
    """Keep of a pay or a capture which attempt it began, or found under way."""
    attempt = outcome.checkout.attempt
    return StoredResponse(202, f"/checkouts/{outcome.checkout.id}", attempt.id if attempt else None)


def summarize_cancel(_request: object, outcome: Started | Repeated) -> StoredResponse:
    """Keep of a cancel whether it was done at once, and else which attempt lets go of the money."""
    status = 200 if outcome.checkout.status == CheckoutStatus.CANCELED else 202
    attempt = outcome.checkout.attempt if status == 202 else None  # noqa: PLR2004 - the status code is its own name
    return StoredResponse(status, f"/checkouts/{outcome.checkout.id}", attempt.id if attempt else None)


def summarize_refund(_request: object, outcome: Started) -> StoredResponse:
    """Keep of a refund which it is."""
    return StoredResponse(202, f"/refunds/{outcome.attempt.id}", outcome.attempt.id)


def summarize_endpoint_created(_request: object, outcome: WebhookEndpoint) -> StoredResponse:
    """Keep which webhook endpoint was created."""
    return StoredResponse(201, f"/webhook-endpoints/{outcome.id}")


def summarize_secret_rotated(_request: object, outcome: WebhookEndpoint) -> StoredResponse:
    """Keep whose secret was replaced."""
    return StoredResponse(200, f"/webhook-endpoints/{outcome.id}")


def summarize_test_sent(request: SendTest, _outcome: WebhookEndpoint) -> StoredResponse:
    """Keep which delivery tells of the test event."""
    return StoredResponse(202, f"/deliveries/{request.delivery_id}")


def summarize_redelivery(_request: object, outcome: ShownDelivery) -> StoredResponse:
    """Keep which delivery was made due."""
    return StoredResponse(202, f"/deliveries/{outcome.delivery.id}")


def summarize_range_redelivery(request: RedeliverRange, outcome: RangeRedelivered) -> StoredResponse:
    """Keep how many deliveries were made due: no resource tells that later."""
    answer = msgspec.json.encode(Redelivered(outcome.deliveries, outcome.remaining)).decode()
    return StoredResponse(202, f"/webhook-endpoints/{request.endpoint.id}", answer=answer)


def summarize_merchant_created(_request: object, outcome: CreatedMerchant) -> StoredResponse:
    """Keep which merchant was created."""
    return StoredResponse(201, f"/merchants/{outcome.merchant.id}")


def summarize_key_issued(_request: object, outcome: IssuedKey) -> StoredResponse:
    """Keep which API key was made."""
    return StoredResponse(201, f"/keys/{outcome.key.id}")


def summarize_key_revoked(_request: object, outcome: ApiKey) -> StoredResponse:
    """Keep which API key was revoked."""
    return StoredResponse(200, f"/keys/{outcome.id}")
