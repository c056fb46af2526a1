"""Every call: its method and path, who answers it, and what it says of itself. The busiest stand first: the
router takes the first path that fits.
"""

from typing import Final

from paidonce.http import (
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
from paidonce.http.declarations import declare, delete, exempt_post, get, patch, post

ROUTES: Final = declare(
    exempt_post(
        "/checkouts",
        checkouts.create_checkout,
        operations.CREATE_CHECKOUT,
        because="The key names the purchase, for ever: it lives in the checkout's own row, and may stand in the body.",
    ),
    get("/checkouts", checkouts.show_checkouts, operations.LIST_CHECKOUTS),
    get("/checkouts/{checkout_id}", checkouts.get_checkout, operations.GET_CHECKOUT),
    post("/checkouts/{checkout_id}/pay", checkouts.pay_checkout, operations.PAY_CHECKOUT),
    post("/checkouts/{checkout_id}/capture", checkouts.capture_checkout, operations.CAPTURE_CHECKOUT),
    post("/checkouts/{checkout_id}/cancel", checkouts.cancel_checkout, operations.CANCEL_CHECKOUT),
    get("/checkouts/{checkout_id}/timeline", checkouts.get_timeline, operations.GET_TIMELINE),
    post("/checkouts/{checkout_id}/refunds", refunds.create_refund, operations.CREATE_REFUND),
    get("/checkouts/{checkout_id}/refunds", refunds.list_refunds, operations.LIST_REFUNDS),
    get("/refunds/{refund_id}", refunds.get_refund, operations.GET_REFUND),
    get("/events", events.show_events, operations_events.LIST_EVENTS),
    get("/events/stream", events.follow_events, operations_events.FOLLOW_EVENTS),
    get("/events/{event_id}", events.get_event, operations_events.GET_EVENT),
    post("/webhook-endpoints", endpoints.create_endpoint, operations_webhooks.CREATE_ENDPOINT),
    get("/webhook-endpoints", endpoints.show_endpoints, operations_webhooks.LIST_ENDPOINTS),
    get("/webhook-endpoints/{endpoint_id}", endpoints.get_endpoint, operations_webhooks.GET_ENDPOINT),
    patch("/webhook-endpoints/{endpoint_id}", endpoints.update_endpoint, operations_webhooks.UPDATE_ENDPOINT),
    delete("/webhook-endpoints/{endpoint_id}", endpoints.delete_endpoint, operations_webhooks.DELETE_ENDPOINT),
    post("/webhook-endpoints/{endpoint_id}/rotate-secret", endpoints.rotate_secret, operations_webhooks.ROTATE_SECRET),
    post("/webhook-endpoints/{endpoint_id}/test", endpoints.test_endpoint, operations_webhooks.TEST_ENDPOINT),
    get(
        "/webhook-endpoints/{endpoint_id}/deliveries",
        endpoints.show_deliveries,
        operations_webhooks.LIST_DELIVERIES,
    ),
    post("/webhook-endpoints/{endpoint_id}/redeliver", endpoints.redeliver_range, operations_webhooks.REDELIVER_RANGE),
    get(
        "/webhook-endpoints/{endpoint_id}/redeliveries",
        endpoints.show_redeliveries,
        operations_webhooks.LIST_REDELIVERIES,
    ),
    get("/deliveries/{delivery_id}", endpoints.get_delivery, operations_webhooks.GET_DELIVERY),
    post("/deliveries/{delivery_id}/redeliver", endpoints.send_again, operations_webhooks.REDELIVER),
    get(
        "/idempotency-keys/{key}",
        idempotency_keys.get_idempotency_key,
        operations_idempotency.GET_IDEMPOTENCY_KEY,
        takes_slashes=True,
    ),
    post("/merchants", merchants.create_merchant, operations_merchants.CREATE_MERCHANT),
    get("/merchants", merchants.show_merchants, operations_merchants.LIST_MERCHANTS),
    post("/keys", merchants.create_key, operations_merchants.CREATE_KEY),
    get("/keys", merchants.show_keys, operations_merchants.LIST_KEYS),
    post("/keys/{key_id}/revoke", merchants.revoke_key, operations_merchants.REVOKE_KEY),
    post("/keys/{key_id}/rotate", merchants.rotate_key, operations_merchants.ROTATE_KEY),
    exempt_post(
        "/providers/{provider}/webhooks",
        inbox.receive_webhook,
        operations.RECEIVE_WEBHOOK,
        because="A provider sends no such key: its own id of the webhook is what is stored once.",
    ),
    get("/health/live", service.live, operations.LIVE),
    get("/health/ready", service.ready, operations.READY),
    get("/openapi.json", service.openapi, operations.OPENAPI),
    get("/docs", service.docs, operations.DOCS),
    get("/", service.home, operations.HOME),
)
