"""On which node of a distributed database the rows are stored that a request is about, as far as the request tells."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Sequence
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec

import paidonce
from paidonce.checkouts.model import NewCheckout
from paidonce.database.citus.shard_keys import ShardKey, merchant_fields_of, merchants_in, shard_keys_in
from paidonce.database.transaction import Transaction
from paidonce.merchants.model import Tenant, TenantScopedId
from paidonce.payments.claim_store import Held
from paidonce.payments.claiming import ClaimAttempts
from paidonce.payments.schedule import LookupSchedule
from paidonce.provider_webhooks.actions import ApplyWebhook, DueWebhooks, ReceivedWebhook
from paidonce.provider_webhooks.store import DuePosition, WebhookName
from paidonce.providers.evidence import Notice
from paidonce.statistics.actions import CountLogs

FEATURES: Final = tuple(
    f"paidonce.{name}"
    for name in (
        "checkouts",
        "events",
        "idempotency",
        "merchants",
        "payments",
        "profiles",
        "provider_accounts",
        "provider_webhooks",
        "retention",
        "search",
        "statistics",
        "users",
        "webhook_endpoints",
    )
)
# Actions whose requests name no merchant, by the reason.
OF_ANY_MERCHANT: Final = {
    "It looks for what is due, old or not counted, whosever it is.": {
        "checkouts.actions.expire_checkouts",
        "idempotency.actions.delete_expired_keys",
        "payments.capture.void_expired",
        "payments.claiming.claim_attempts",
        "payments.claiming.find_due_providers",
        "payments.unproven_outcomes.measure_unproven",
        "profiles.actions.list_without_page",
        "provider_webhooks.actions.find_due_webhooks",
        "provider_webhooks.actions.find_old_webhooks",
        "retention.actions.find_old_logs",
        "statistics.actions.find_uncounted",
        "webhook_endpoints.delivery_actions.find_waiting_endpoints",
        "webhook_endpoints.maintenance.find_upkeep",
    },
    "A process that starts alone releases all leases.": {
        "payments.claiming.release_all_attempts",
        "webhook_endpoints.delivery_actions.release_all_deliveries",
    },
    "It is named without its merchant: by an id, a token or a hash.": {
        "merchants.actions.load_active_keys",
        "merchants.actions.load_keys",
        "payments.sessions.find_returning",
        "profiles.actions.load_logos",
        "provider_accounts.actions.find_any_account",
        "provider_accounts.actions.prefer_accounts",
    },
    "The request is the id of the merchant itself, or the beginning of many.": {
        "merchants.actions.create_merchants",
        "merchants.actions.list_merchants",
        "merchants.actions.load_merchants",
    },
    "It is about several webhooks, or an operator's call.": {
        "provider_webhooks.actions.fail_webhooks",
        "provider_webhooks.actions.prune_webhooks",
        "provider_webhooks.replay.dismiss_webhooks",
        "provider_webhooks.replay.list_given_up",
        "provider_webhooks.replay.replay_webhooks",
    },
    "People and the audit log are on the coordinator.": {
        "retention.actions.delete_old_entries",
        "users.actions.begin_sessions",
        "users.actions.load_users_by_email",
        "users.actions.load_users_by_id",
        "users.actions.load_users_by_link",
        "users.actions.set_totp",
        "users.actions.use_links",
        "users.audit.record_outcomes",
        "users.first_user.link_first_users",
        "users.sessions.end_sessions",
        "users.sessions.list_sessions",
        "users.sessions.load_people",
        "users.sessions.use_sessions",
    },
}
NEW: Final = NewCheckout(id="c", merchant_id="a", idempotency_key="k", amount=1, currency="EUR")


def test_a_request_is_about_every_merchant_that_it_names_however_deep() -> None:
    assert merchants_in(NEW) == {"a"}
    assert merchants_in(TenantScopedId("c", "a")) == {"a"}
    assert merchants_in([Held("1", "a", 1), Held("2", "b", 1)]) == {"a", "b"}
    assert merchants_in(CountLogs([Tenant("a", "test"), Tenant("b", "live")], 10)) == {"a", "b"}
    assert merchants_in({TenantScopedId("c", "a"): None}) == {"a"}


def test_a_request_that_names_no_merchant_may_be_about_any() -> None:
    assert merchants_in(TenantScopedId("c", None)) == frozenset()
    assert merchants_in(ClaimAttempts("simulator", 10, 1000)) == frozenset()
    assert merchants_in(None) == frozenset()


def test_what_may_be_any_merchants_is_told_beside_the_merchants_that_are_named() -> None:
    assert merchant_fields_of((TenantScopedId("c", None), TenantScopedId("d", "a"))) == {None, "a"}
    assert merchant_fields_of(TenantScopedId("d", "a")) == {"a"}


def test_a_request_is_about_the_merchants_that_it_names() -> None:
    assert shard_keys_in(TenantScopedId("c", "a")) == {ShardKey("merchant", "a")}
    assert shard_keys_in(TenantScopedId("c", None)) == frozenset()


def test_a_webhook_of_a_provider_is_stored_by_its_own_id_whosever_payment_it_is_about() -> None:
    received = ReceivedWebhook("simulator", Notice("msg_1", "att_1", None), b"")
    apply = ApplyWebhook(name=WebhookName("simulator", "msg_1"), schedule=LookupSchedule(), chance=0.5)
    assert shard_keys_in(received) == shard_keys_in(apply) == {ShardKey("provider_webhook", "msg_1")}
    after = DuePosition(1, WebhookName("simulator", "msg_1"))
    assert shard_keys_in(DueWebhooks(10, after)) == frozenset()  # What follows a webhook may be stored anywhere.


def actions() -> Iterator[tuple[str, Any]]:
    """Yield every action of the service, and the type of its requests."""
    for module in pkgutil.walk_packages(paidonce.__path__, "paidonce."):
        if module.name.startswith(FEATURES) and not module.name.endswith("store"):
            for name, function in vars(importlib.import_module(module.name)).items():
                if not inspect.isfunction(function) or function.__module__ != module.name or name.startswith("_"):
                    continue
                given = [one.annotation for one in inspect.signature(function).parameters.values()]
                if len(given) != 2 or given[0] is not Transaction:
                    continue
                request = given[1]
                if get_origin(request) is Sequence:
                    yield f"{module.name.removeprefix('paidonce.')}.{name}", get_args(request)[0]


def names_merchants(request: Any, depth: int = 8) -> bool:  # noqa: ANN401 - any type
    """Tell whether values of a type have a field from which it follows where rows are stored."""
    if depth == 0:
        return False
    if isinstance(getattr(request, "shard_key", None), property):
        return True
    if isinstance(request, type) and (issubclass(request, msgspec.Struct) or hasattr(request, "_fields")):
        hints = get_type_hints(request)
        return "merchant_id" in hints or any(names_merchants(one, depth - 1) for one in hints.values())
    return any(names_merchants(one, depth - 1) for one in get_args(request))


def test_every_request_names_its_merchants_or_is_known_to_be_about_any() -> None:
    found = {name for name, request in actions() if not names_merchants(request)}
    assert found == set().union(*OF_ANY_MERCHANT.values())
