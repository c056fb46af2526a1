"""Every call: its method and path, who answers it, and what it says of itself."""

from typing import Final

from paidonce.api import (
    checkouts,
    endpoints,
    events,
    idempotency_keys,
    inbox,
    merchants,
    operations,
    operations_events,
    operations_idempotency,
    operations_merchants,
    operations_webhooks,
    refunds,
    service,
)
from paidonce.api.declarations import declare, exempt_post, post
from paidonce.web.routing import Route

ROUTES: Final = declare(
    exempt_post(
        "/checkouts",
        checkouts.create_checkout,
        operations.CREATE_CHECKOUT,
        because="The key names the purchase, for ever: it lives in the checkout's own row, and may stand in the body.",
    ),
    Route("GET", "/checkouts", checkouts.show_checkouts, operations.LIST_CHECKOUTS),
    Route("GET", "/checkouts/{checkout_id}", checkouts.get_checkout, operations.GET_CHECKOUT),
    post("/checkouts/{checkout_id}/pay", checkouts.pay_checkout, operations.PAY_CHECKOUT),
    post("/checkouts/{checkout_id}/capture", checkouts.capture_checkout, operations.CAPTURE_CHECKOUT),
    post("/checkouts/{checkout_id}/cancel", checkouts.cancel_checkout, operations.CANCEL_CHECKOUT),
    Route("GET", "/checkouts/{checkout_id}/timeline", checkouts.get_timeline, operations.GET_TIMELINE),
    post("/checkouts/{checkout_id}/refunds", refunds.create_refund, operations.CREATE_REFUND),
    Route("GET", "/checkouts/{checkout_id}/refunds", refunds.list_refunds, operations.LIST_REFUNDS),
    Route("GET", "/refunds/{refund_id}", refunds.get_refund, operations.GET_REFUND),
    Route("GET", "/events", events.show_events, operations_events.LIST_EVENTS),
    Route("GET", "/events/stream", events.follow_events, operations_events.FOLLOW_EVENTS),
    Route("GET", "/events/{event_id}", events.get_event, operations_events.GET_EVENT),
    post("/webhook-endpoints", endpoints.create_endpoint, operations_webhooks.CREATE_ENDPOINT),
    Route("GET", "/webhook-endpoints", endpoints.show_endpoints, operations_webhooks.LIST_ENDPOINTS),
    Route("GET", "/webhook-endpoints/{endpoint_id}", endpoints.get_endpoint, operations_webhooks.GET_ENDPOINT),
    Route("PATCH", "/webhook-endpoints/{endpoint_id}", endpoints.update_endpoint, operations_webhooks.UPDATE_ENDPOINT),
    Route("DELETE", "/webhook-endpoints/{endpoint_id}", endpoints.delete_endpoint, operations_webhooks.DELETE_ENDPOINT),
    post("/webhook-endpoints/{endpoint_id}/rotate-secret", endpoints.rotate_secret, operations_webhooks.ROTATE_SECRET),
    post("/webhook-endpoints/{endpoint_id}/test", endpoints.test_endpoint, operations_webhooks.TEST_ENDPOINT),
    Route(
        "GET",
        "/webhook-endpoints/{endpoint_id}/deliveries",
        endpoints.show_deliveries,
        operations_webhooks.LIST_DELIVERIES,
    ),
    post("/webhook-endpoints/{endpoint_id}/redeliver", endpoints.redeliver_range, operations_webhooks.REDELIVER_RANGE),
    Route(
        "GET",
        "/webhook-endpoints/{endpoint_id}/redeliveries",
        endpoints.show_redeliveries,
        operations_webhooks.LIST_REDELIVERIES,
    ),
    Route("GET", "/deliveries/{delivery_id}", endpoints.get_delivery, operations_webhooks.GET_DELIVERY),
    post("/deliveries/{delivery_id}/redeliver", endpoints.send_again, operations_webhooks.REDELIVER),
    Route(
        "GET",
        "/idempotency-keys/{key}",
        idempotency_keys.get_idempotency_key,
        operations_idempotency.GET_IDEMPOTENCY_KEY,
        rest=True,  # A key may hold slashes.
    ),
    post("/merchants", merchants.create_merchant, operations_merchants.CREATE_MERCHANT),
    Route("GET", "/merchants", merchants.show_merchants, operations_merchants.LIST_MERCHANTS),
    post("/keys", merchants.create_key, operations_merchants.CREATE_KEY),
    Route("GET", "/keys", merchants.show_keys, operations_merchants.LIST_KEYS),
    post("/keys/{key_id}/revoke", merchants.revoke_key, operations_merchants.REVOKE_KEY),
    post("/keys/{key_id}/rotate", merchants.rotate_key, operations_merchants.ROTATE_KEY),
    exempt_post(
        "/providers/{provider}/webhooks",
        inbox.receive_webhook,
        operations.RECEIVE_WEBHOOK,
        because="A provider sends no such key: its own id of the webhook is what is stored once.",
    ),
    Route("GET", "/health/live", service.live, operations.LIVE),
    Route("GET", "/health/ready", service.ready, operations.READY),
    Route("GET", "/openapi.json", service.openapi, operations.OPENAPI),
    Route("GET", "/docs", service.docs, operations.DOCS),
)
