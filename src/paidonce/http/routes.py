"""All operations, in the order in which the router tries their paths: the busiest first, ``/events/stream`` before
``/events/{event_id}``, ``/checkouts/search`` before ``/checkouts/{checkout_id}``. ``paidonce routes`` prints the table.
"""

from typing import Final

from paidonce.checkouts import http as checkouts
from paidonce.events import http as events
from paidonce.http import meta
from paidonce.http.operation import Operation
from paidonce.idempotency import http as idempotency
from paidonce.merchants import http as merchants
from paidonce.payments import http as payments, refunds_http as refunds, return_http, review_http as attempts
from paidonce.profiles import http as profiles
from paidonce.provider_accounts import http as provider_accounts
from paidonce.provider_webhooks import http as provider_webhooks, replay_http as replays
from paidonce.search import http as search
from paidonce.statistics import http as statistics
from paidonce.webhook_endpoints import deliveries_http as deliveries, http as webhook_endpoints

OPERATIONS: Final[tuple[Operation, ...]] = (
    checkouts.create_checkout,
    checkouts.get_checkouts,
    search.search_checkouts,
    checkouts.get_checkout,
    payments.pay_checkout,
    payments.capture_checkout,
    payments.cancel_checkout,
    checkouts.get_timeline,
    refunds.create_refund,
    refunds.list_refunds,
    refunds.get_refund,
    refunds.list_disputes,
    events.get_events,
    events.stream_events,
    events.get_event,
    webhook_endpoints.create_endpoint,
    webhook_endpoints.get_endpoints,
    webhook_endpoints.get_endpoint,
    webhook_endpoints.update_endpoint,
    webhook_endpoints.delete_endpoint,
    webhook_endpoints.rotate_secret,
    deliveries.send_test_event,
    deliveries.get_deliveries,
    deliveries.redeliver_range,
    deliveries.redeliver_failed_deliveries,
    deliveries.get_redeliveries,
    deliveries.get_delivery,
    deliveries.redeliver_delivery,
    provider_accounts.create_account,
    provider_accounts.get_accounts,
    provider_accounts.get_account,
    provider_accounts.rotate_account,
    provider_accounts.move_account,
    provider_accounts.disable_account,
    provider_accounts.enable_account,
    provider_accounts.check_account,
    statistics.get_statistics,
    statistics.get_current_statistics,
    profiles.get_profile,
    profiles.update_profile,
    profiles.get_logo,
    idempotency.get_idempotency_key,
    merchants.create_merchant,
    merchants.get_merchants,
    merchants.create_key,
    merchants.get_keys,
    merchants.revoke_key,
    merchants.rotate_key,
    attempts.get_attempts,
    attempts.get_attempt,
    attempts.resolve_attempt,
    replays.get_provider_webhooks,
    replays.replay_provider_webhook,
    replays.dismiss_provider_webhook,
    provider_webhooks.receive_webhook,
    provider_webhooks.receive_account_webhook,
    return_http.return_from_provider,
    meta.live,
    meta.ready,
    meta.openapi,
    meta.docs,
    meta.home,
)
