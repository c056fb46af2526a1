"""Every call: its method and path, who answers it, and what it says of itself."""

from typing import Final

from paidonce.api import (
    checkouts,
    events,
    idempotency_keys,
    inbox,
    merchants,
    operations,
    operations_events,
    operations_idempotency,
    operations_merchants,
    refunds,
    service,
)
from paidonce.web.routing import Route

ROUTES: Final = (
    Route("POST", "/checkouts", checkouts.create_checkout, operations.CREATE_CHECKOUT),
    Route("GET", "/checkouts", checkouts.show_checkouts, operations.LIST_CHECKOUTS),
    Route("GET", "/checkouts/{checkout_id}", checkouts.get_checkout, operations.GET_CHECKOUT),
    Route("POST", "/checkouts/{checkout_id}/pay", checkouts.pay_checkout, operations.PAY_CHECKOUT),
    Route("POST", "/checkouts/{checkout_id}/capture", checkouts.capture_checkout, operations.CAPTURE_CHECKOUT),
    Route("POST", "/checkouts/{checkout_id}/cancel", checkouts.cancel_checkout, operations.CANCEL_CHECKOUT),
    Route("GET", "/checkouts/{checkout_id}/timeline", checkouts.get_timeline, operations.GET_TIMELINE),
    Route("POST", "/checkouts/{checkout_id}/refunds", refunds.create_refund, operations.CREATE_REFUND),
    Route("GET", "/checkouts/{checkout_id}/refunds", refunds.list_refunds, operations.LIST_REFUNDS),
    Route("GET", "/refunds/{refund_id}", refunds.get_refund, operations.GET_REFUND),
    Route("GET", "/events", events.show_events, operations_events.LIST_EVENTS),
    Route("GET", "/events/stream", events.follow_events, operations_events.FOLLOW_EVENTS),
    Route("GET", "/events/{event_id}", events.get_event, operations_events.GET_EVENT),
    Route(
        "GET",
        "/idempotency-keys/{key}",
        idempotency_keys.get_idempotency_key,
        operations_idempotency.GET_IDEMPOTENCY_KEY,
        rest=True,  # A key may hold slashes.
    ),
    Route("POST", "/merchants", merchants.create_merchant, operations_merchants.CREATE_MERCHANT),
    Route("GET", "/merchants", merchants.show_merchants, operations_merchants.LIST_MERCHANTS),
    Route("POST", "/keys", merchants.create_key, operations_merchants.CREATE_KEY),
    Route("GET", "/keys", merchants.show_keys, operations_merchants.LIST_KEYS),
    Route("POST", "/keys/{key_id}/revoke", merchants.revoke_key, operations_merchants.REVOKE_KEY),
    Route("POST", "/keys/{key_id}/rotate", merchants.rotate_key, operations_merchants.ROTATE_KEY),
    Route("POST", "/providers/{provider}/webhooks", inbox.receive_webhook, operations.RECEIVE_WEBHOOK),
    Route("GET", "/health/live", service.live, operations.LIVE),
    Route("GET", "/health/ready", service.ready, operations.READY),
    Route("GET", "/openapi.json", service.openapi, operations.OPENAPI),
    Route("GET", "/docs", service.docs, operations.DOCS),
)
