"""What is served while a node of a Citus cluster is lost. ``TEST_CITUS_KILL`` kills and starts nodes for real."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from paidonce import ids
from paidonce.checkouts.actions import create_checkouts, expire_checkouts, load_checkouts
from paidonce.checkouts.model import Checkout, NewCheckout, ProviderRoute
from paidonce.clock import system_clock
from paidonce.database.batch import BatchRunner, Job
from paidonce.database.engine import Database, open_database
from paidonce.database.faults import Fault, classify
from paidonce.database_url import parse_database_url
from paidonce.errors import DatabaseUnavailable
from paidonce.merchants.actions import load_active_keys
from paidonce.merchants.model import Mode, TenantScopedId
from paidonce.payments.capture import VoidExpired, void_expired
from paidonce.payments.claiming import ClaimAttempts, claim_attempts, find_due_providers
from paidonce.payments.pay import Started, StartPayment, start_payments
from paidonce.payments.review import load_attempts
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.sessions import find_returning
from paidonce.provider_accounts.actions import CreateAccount, create_accounts, find_any_account, load_accounts
from paidonce.provider_accounts.model import AccountName
from paidonce.provider_webhooks.actions import (
    ApplyWebhook,
    DueWebhooks,
    ReceivedWebhook,
    apply_webhooks,
    find_due_webhooks,
    store_webhooks,
)
from paidonce.provider_webhooks.model import WebhookResult
from paidonce.provider_webhooks.store import WebhookName
from paidonce.providers.evidence import Notice, Succeeded
from paidonce.statistics.actions import FindUncounted, find_uncounted
from paidonce.webhook_endpoints.delivery_actions import find_waiting_endpoints
from paidonce.webhook_endpoints.maintenance import find_upkeep
from paidonce.webhook_endpoints.outbox import write_events_and_deliveries
from tests.support.citus import kill_node, merchants_on_node, require_cluster, require_killing, start_node

MERCHANTS: Final = [f"m{number}" for number in range(24)]
WEBHOOKS: Final = [f"msg_{number}" for number in range(24)]
WAIT_SECONDS_MAX: Final = 60.0

pytestmark = pytest.mark.timeout(600)


class Service:
    """What runs batches in a process, and the database beside it."""

    def __init__(self, database: Database, url: str) -> None:
        self.database = database
        self.url = url
        self._runner = BatchRunner(database.write, limit=256, chance=lambda: 0.5)

    def do(self, action: Callable[..., Sequence[Any]], *requests: object) -> list[Any]:
        """Run requests in one batch; returns their outcomes, in their order. One may be an exception."""
        jobs = [Job(number, action, request, time.monotonic()) for number, request in enumerate(requests)]
        return [outcome for _, outcome in sorted(self._runner.run(jobs).results, key=lambda result: result[0])]

    def create(self, *merchants: str) -> list[Any]:
        requests = [
            NewCheckout(
                id=ids.new_id(ids.CHECKOUT),
                merchant_id=merchant,
                idempotency_key=ids.new_id(ids.CHECKOUT),
                amount=1000,
                currency="EUR",
            )
            for merchant in merchants
        ]
        return self.do(create_checkouts, *requests)

    def pay(self, checkouts: Sequence[Checkout], *, returning: bool = False) -> list[Any]:
        """Commit payments that a worker has to claim; with ``returning``, buyers come back from them."""
        requests = [
            StartPayment(
                attempt_id=ids.new_id(ids.ATTEMPT),
                checkout=TenantScopedId(one.id, one.merchant_id),
                payment_method="tok_success",
                route=ProviderRoute("simulator"),
                return_url=f"https://shop.example/return/return_{one.merchant_id}" if returning else None,
            )
            for one in checkouts
        ]
        return self.do(start_payments, *requests)

    def until_all_are_served(self) -> None:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while any(isinstance(outcome, Exception) for outcome in self.create(*MERCHANTS)):
            assert time.monotonic() < deadline, "merchants are still refused"


def new_account(merchant_id: str) -> CreateAccount:
    return CreateAccount(
        id=f"pac_{merchant_id}",
        merchant_id=merchant_id,
        provider="stripe",
        mode=Mode.TEST,
        name="stripe",
        credentials="v1.sealed",
        hints="{}",
    )


@pytest.fixture
def nodes() -> list[str]:
    return require_cluster()


@pytest.fixture
def service(nodes: list[str], postgres_url: str) -> Iterator[Service]:
    assert nodes
    url = parse_database_url(postgres_url)
    database = open_database(url, clock=system_clock, before_commit=write_events_and_deliveries)
    try:
        yield Service(database, postgres_url)
    finally:
        database.close()


@contextmanager
def lost(service: Service, nodes: Sequence[str]) -> Iterator[set[str]]:
    """Kill the last node for the block, with connections to it open; yields the merchants whose data it stores.

    After the block, all merchants are served again.
    """
    require_killing()
    number = len(nodes) - 1
    merchants = merchants_on_node(service.url, MERCHANTS, number=number)
    assert 0 < len(merchants) < len(MERCHANTS)
    kill_node(number)
    try:
        yield merchants
    finally:
        start_node(number)
        service.until_all_are_served()


def refused(outcomes: Sequence[object]) -> set[str]:
    """Return the merchants whose requests were refused, each because of a lost node."""
    failures = {
        merchant: outcome
        for merchant, outcome in zip(MERCHANTS, outcomes, strict=True)
        if isinstance(outcome, Exception)
    }
    assert all(isinstance(one, DatabaseUnavailable) and one.is_of_one_node for one in failures.values()), failures
    return set(failures)


def test_only_merchants_of_the_lost_node_are_refused_and_all_are_served_after_its_return(
    service: Service, nodes: list[str]
) -> None:
    assert refused(service.create(*MERCHANTS)) == set()
    with lost(service, nodes) as gone:
        for _ in range(3):
            assert refused(service.create(*MERCHANTS)) == gone
    assert refused(service.create(*MERCHANTS)) == set()


def test_payments_of_merchants_on_living_nodes_are_claimed_while_a_node_is_lost(
    service: Service, nodes: list[str]
) -> None:
    started = service.pay([one.checkout for one in service.create(*MERCHANTS)])
    assert all(isinstance(one, Started) for one in started)
    claim = ClaimAttempts("simulator", 100, 30_000)
    with lost(service, nodes) as gone:
        assert service.do(find_due_providers, ["simulator", "stripe"]) == [{"simulator"}]
        [claimed] = service.do(claim_attempts, claim)
        assert {one.merchant_id for one in claimed} == set(MERCHANTS) - gone
    [claimed] = service.do(claim_attempts, claim)
    assert {one.merchant_id for one in claimed} == gone


@pytest.mark.parametrize(
    ("action", "request_"),
    [
        (expire_checkouts, 100),
        (void_expired, VoidExpired(100, ids.new_id)),
        (find_waiting_endpoints, 100),
        (find_upkeep, None),
        (find_uncounted, FindUncounted("", 100)),
        (find_due_webhooks, DueWebhooks(100)),
        (find_any_account, None),
        (load_active_keys, ["0" * 64]),
    ],
)
def test_what_is_looked_for_at_all_merchants_is_found_on_living_nodes(
    service: Service, nodes: list[str], action: Callable[..., Sequence[Any]], request_: object
) -> None:
    with lost(service, nodes):
        [outcome] = service.do(action, request_)
    assert not isinstance(outcome, Exception)


def test_a_key_that_a_lost_node_may_store_is_unknown_and_not_invalid(service: Service, nodes: list[str]) -> None:
    key = "0" * 64
    assert service.do(load_active_keys, [key]) == [{}]
    with lost(service, nodes):
        assert service.do(load_active_keys, [key]) == [{key: None}]


def test_a_unique_violation_that_lost_its_sqlstate_is_no_loss_of_a_node(service: Service) -> None:
    insert = text(
        "INSERT INTO merchant (id, event_sequence, created_at)"
        " SELECT id, 0, 1 FROM unnest(CAST(ARRAY['m1', 'm2'] AS text[])) AS new(id)"
    )
    with service.database.writes.begin() as connection:
        connection.execute(insert)
    with pytest.raises(DBAPIError) as raised, service.database.writes.begin() as connection:
        connection.execute(insert)
    assert classify(raised.value) is Fault.DEFECT


def webhooks_on(service: Service, port: int) -> set[str]:
    """Return which of some ids of providers' webhooks are stored on a node."""
    found = text(
        "SELECT id FROM unnest(CAST(:webhooks AS text[])) AS wanted(id) JOIN pg_dist_placement"
        " ON shardid = get_shard_id_for_distribution_column('provider_webhook', id) JOIN pg_dist_node USING (groupid)"
        " WHERE nodeport = :port"
    )
    with service.database.reads.connect() as connection:
        return set(connection.execute(found, {"webhooks": WEBHOOKS, "port": port}).scalars())


def test_what_providers_and_buyers_name_is_found_on_living_nodes_and_nothing_else_is_called_missing(
    service: Service, nodes: list[str]
) -> None:
    checkouts = {one.checkout.merchant_id: one.checkout for one in service.create(*MERCHANTS)}
    attempts = {one.attempt.merchant_id: one.attempt for one in service.pay([*checkouts.values()], returning=True)}
    service.do(create_accounts, *(new_account(merchant) for merchant in MERCHANTS))

    def by_merchant(action: Callable[..., Sequence[Any]], request_of: Callable[[str], object]) -> dict[str, Any]:
        """Return the outcome for each merchant; each request is a batch of its own."""
        return {one: service.do(action, request_of(one))[0] for one in MERCHANTS}

    with lost(service, nodes) as gone:
        for action, request_of in (
            (find_returning, lambda one: f"return_{one}"),
            (load_checkouts, lambda one: TenantScopedId(checkouts[one].id, None)),
            (load_accounts, lambda one: AccountName(f"pac_{one}", None)),
            (load_attempts, lambda one: TenantScopedId(attempts[one].id, None)),
        ):
            outcomes = by_merchant(action, request_of)
            assert refused(list(outcomes.values())) == gone
            assert all(outcomes[one].merchant_id == one for one in MERCHANTS if one not in gone)
            # A batch serves those on living nodes, too.
            assert refused(service.do(action, *map(request_of, MERCHANTS))) == gone
        [unknown] = service.do(find_returning, "return_nobody")
        assert isinstance(unknown, DatabaseUnavailable)
    assert service.do(find_returning, "return_nobody") == [None]


def test_webhooks_of_providers_are_stored_and_applied_on_living_nodes_and_none_is_lost(
    service: Service, nodes: list[str]
) -> None:
    checkouts = service.create(*MERCHANTS)
    attempts = {one.attempt.merchant_id: one.attempt for one in service.pay([one.checkout for one in checkouts])}
    service.do(claim_attempts, ClaimAttempts("simulator", 100, 600_000))
    received = [
        ReceivedWebhook("simulator", Notice(webhook_id, attempts[merchant].id, Succeeded("ch_1")), b"{}")
        for webhook_id, merchant in zip(WEBHOOKS, MERCHANTS, strict=True)
    ]
    names = [WebhookName("simulator", webhook_id) for webhook_id in WEBHOOKS]
    applying = [ApplyWebhook(name=name, schedule=LookupSchedule(), chance=0.5) for name in names]
    with lost(service, nodes) as gone:
        lost_webhooks = webhooks_on(service, make_url(nodes[-1]).port or 5432)
        stored = service.do(store_webhooks, *received)
        assert {name.id for name, one in zip(names, stored, strict=True) if one != name} == lost_webhooks
        applied = dict(zip(MERCHANTS, service.do(apply_webhooks, *applying), strict=True))
        for webhook_id, merchant in zip(WEBHOOKS, MERCHANTS, strict=True):
            if webhook_id in lost_webhooks or merchant in gone:
                assert isinstance(applied[merchant], DatabaseUnavailable)
            else:
                assert applied[merchant].result is WebhookResult.CHANGED
    # The providers send again what was refused, and what was stored is still due.
    assert service.do(store_webhooks, *received) == names
    again = service.do(apply_webhooks, *applying)
    assert [one.result for one in again if one is not None] == [WebhookResult.CHANGED] * sum(
        isinstance(one, DatabaseUnavailable) for one in applied.values()
    )
