"""Reading from each node on its own finds what the same statement finds in the whole cluster."""

import ast
import importlib
import pkgutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import pytest

import paidonce
from paidonce import ids
from paidonce.checkouts.actions import create_checkouts, expire_checkouts, load_checkouts
from paidonce.checkouts.model import NewCheckout, ProviderRoute
from paidonce.database import transaction as transaction_module
from paidonce.database.citus.node_reads import rows_by_node
from paidonce.database.engine import Database, open_database
from paidonce.database.statement import Statement
from paidonce.database_url import parse_database_url
from paidonce.events.model import Cause
from paidonce.merchants.actions import NewKey, create_keys, create_merchants, load_active_keys
from paidonce.merchants.model import Mode, Scope, TenantScopedId
from paidonce.merchants.secret import hash_secret, make_secret
from paidonce.payments.capture import VoidExpired, void_expired
from paidonce.payments.claiming import ClaimAttempts, claim_attempts, find_due_providers
from paidonce.payments.pay import StartPayment, start_payments
from paidonce.payments.refund import StartRefund, load_refunds, start_refunds
from paidonce.payments.review import load_attempts
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.sessions import find_returning
from paidonce.payments.settle import RecordEvidence, record_evidence
from paidonce.provider_accounts.actions import CreateAccount, create_accounts, load_accounts
from paidonce.provider_accounts.model import AccountName
from paidonce.provider_webhooks.actions import (
    ApplyWebhook,
    DueWebhooks,
    ReceivedWebhook,
    apply_webhooks,
    find_due_webhooks,
    store_webhooks,
)
from paidonce.provider_webhooks.store import DuePosition, WebhookName
from paidonce.providers.evidence import Notice, Succeeded
from paidonce.statistics.actions import FindUncounted, find_uncounted
from paidonce.webhook_endpoints.actions import (
    ChangeEndpoint,
    CreateEndpoint,
    change_endpoints,
    create_endpoints,
    load_endpoints,
)
from paidonce.webhook_endpoints.delivery_actions import find_waiting_endpoints
from paidonce.webhook_endpoints.maintenance import find_upkeep
from paidonce.webhook_endpoints.outbox import write_events_and_deliveries
from paidonce.webhook_endpoints.redelivery import RedeliverRange, redeliver_ranges
from tests.support.citus import require_cluster
from tests.support.databases import fresh_database

NOW: Final = 1_700_000_000_000
MERCHANTS: Final = [f"m{number}" for number in range(12)]
NO_NODE: Final = frozenset({"nowhere:1"})

# How often each module reads in this way. Whoever adds a call adds an action below that makes it.
CALLS: Final = {
    "checkouts.store": 3,
    "merchants.scoping": 2,
    "merchants.store": 1,
    "payments.external_store": 1,
    "payments.session_store": 1,
    "payments.claim_store": 2,
    "payments.store": 2,
    "provider_accounts.store": 2,
    "provider_webhooks.store": 1,
    "statistics.store": 1,
    "webhook_endpoints.due_delivery_store": 2,
    "webhook_endpoints.redelivery": 1,
    "webhook_endpoints.store": 1,
}
STATEMENTS: Final = {
    "checkouts.store._BY_ID",
    "checkouts.store._EXPIRED",
    "merchants.store._KEYS_BY_HASH",
    "payments.external_store._BY_REFERENCE",
    "payments.session_store._BY_RETURN_TOKEN",
    "payments.store._BY_ID",
    "payments.claim_store._DUE",
    "payments.claim_store._DUE_EXCEPT",
    "payments.claim_store._DUE_ONLY",
    "payments.claim_store._DUE_UNSENT",
    "payments.store._REFUND_BY_ID",
    "payments.claim_store._WITH_DUE",
    "provider_accounts.store._BY_NAME",
    "provider_webhooks.store._DUE",
    "provider_webhooks.store._DUE_AFTER",
    "statistics.store._UNCOUNTED",
    "webhook_endpoints.due_delivery_store._DELETED",
    "webhook_endpoints.due_delivery_store._WAITING",
    "webhook_endpoints.redelivery._READY",
    "webhook_endpoints.store._BY_NAME",
}
FUNCTIONS: Final = {"rows_of_living_nodes", "find_wanted", "read_wanted"}


def modules() -> Iterator[str]:
    yield from (
        one.name
        for one in pkgutil.walk_packages(paidonce.__path__, "paidonce.")
        if not one.name.startswith(("paidonce.database.migrations", "paidonce.__main__"))
    )


def calls_in(name: str) -> int:
    tree = ast.parse(Path(str(importlib.import_module(name).__file__)).read_text())
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [getattr(function, "attr", getattr(function, "id", "")) for function in called]
    return sum(count for one, count in Counter(names).items() if one in FUNCTIONS)


def test_every_call_that_reads_from_each_node_is_known() -> None:
    found = {name.removeprefix("paidonce."): calls_in(name) for name in modules()}
    assert {name: count for name, count in found.items() if count} == CALLS


class Cluster:
    """A distributed database, and the statements that were executed on each of its nodes."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.by_node: list[Statement] = []

    def do(self, action: Callable[..., Sequence[Any]], *requests: object) -> list[Any]:
        with self.database.write() as transaction:
            return list(action(transaction, requests))

    def find(self, action: Callable[..., Sequence[Any]], request: object, *, by_node: bool) -> str:
        """Run an action, undo what it did, and return what it found as text in a fixed order."""
        transaction: Any

        def note(connection: Any, statement: Statement, *rest: Any, **more: Any) -> Any:  # noqa: ANN401 - as it is
            self.by_node.append(statement)
            return rows_by_node(connection, statement, *rest, **more)

        with patch.object(transaction_module, "rows_by_node", note), self.database.write() as transaction:
            transaction.lost_nodes = NO_NODE if by_node else frozenset()
            with closing(transaction.connection.begin_nested()):  # It is rolled back.
                [found] = action(transaction, [request])
            transaction.events.clear()
        return repr(sorted(map(repr, found)) if isinstance(found, list | set) else found)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with (
        fresh_database(require_cluster()[0]) as url,
        closing(
            open_database(parse_database_url(url), clock=lambda: NOW, before_commit=write_events_and_deliveries)
        ) as database,
    ):
        yield Cluster(database)


def name_of(endpoint_id: str, merchant_id: str | None = None) -> TenantScopedId:
    return TenantScopedId(endpoint_id, merchant_id)


def random_part(merchant_id: str) -> str:
    return merchant_id.rjust(30, "0")


def add_merchants(cluster: Cluster) -> None:
    """Create merchants with all that a payment needs."""
    cluster.do(create_merchants, *MERCHANTS)
    cluster.do(
        create_keys,
        *(
            NewKey(
                id=f"key_{one}", random_part=random_part(one), merchant_id=one, mode=Mode.TEST, scopes=frozenset(Scope)
            )
            for one in MERCHANTS
        ),
    )
    for kind in ("we", "deleted"):
        cluster.do(
            create_endpoints,
            *(
                CreateEndpoint(
                    id=f"{kind}_{one}",
                    merchant_id=one,
                    url="https://x.test/",
                    event_types=None,
                    description=None,
                    secret="v1.x",
                )
                for one in MERCHANTS
            ),
        )
    cluster.do(
        create_accounts,
        *(
            CreateAccount(
                id=f"pac_{one}",
                merchant_id=one,
                provider="stripe",
                mode=Mode.TEST,
                name="x",
                credentials="v1.x",
                hints="{}",
            )
            for one in MERCHANTS
        ),
    )


def add_payments(cluster: Cluster) -> None:
    """Give each merchant something of everything that is looked for."""
    for kind, seconds in (("paid", 3600), ("open", 0)):
        cluster.do(
            create_checkouts,
            *(
                NewCheckout(
                    id=f"{kind}_{one}",
                    merchant_id=one,
                    idempotency_key=kind,
                    amount=1000,
                    currency="EUR",
                    expires_in_seconds=seconds,
                )
                for one in MERCHANTS
            ),
        )
    cluster.do(
        start_payments,
        *(
            StartPayment(
                attempt_id=f"att_{one}",
                checkout=TenantScopedId(f"paid_{one}", one),
                payment_method="tok",
                route=ProviderRoute("stripe", f"pac_{one}"),
                return_url=f"https://shop.example/return_{one}",
                lease_ms=1,
            )
            for one in MERCHANTS
        ),
    )
    cluster.do(
        record_evidence,
        *(
            RecordEvidence(f"att_{one}", Succeeded(f"ch_{one}"), Cause.WEBHOOK, LookupSchedule(), 0.5)
            for one in MERCHANTS
        ),
    )
    cluster.do(
        start_refunds,
        *(StartRefund(attempt_id=f"ref_{one}", checkout=TenantScopedId(f"paid_{one}", one)) for one in MERCHANTS),
    )
    cluster.do(
        redeliver_ranges,
        *(
            RedeliverRange(id=f"rdl_{one}", endpoint=name_of(f"we_{one}", one), from_sequence=1, to_sequence=1)
            for one in MERCHANTS
        ),
    )
    cluster.do(change_endpoints, ChangeEndpoint(name=name_of("deleted_m5", "m5"), deleted=True))
    cluster.do(
        store_webhooks,
        *(
            ReceivedWebhook(f"stripe/pac_{one}", Notice(f"msg_{one}", None, Succeeded("x"), f"ch_{one}"), b"{}")
            for one in MERCHANTS
        ),
    )


def test_each_statement_finds_on_the_nodes_what_it_finds_in_the_cluster(cluster: Cluster) -> None:
    add_merchants(cluster)
    add_payments(cluster)
    one = MERCHANTS[3]
    applying = ApplyWebhook(name=WebhookName(f"stripe/pac_{one}", f"msg_{one}"), schedule=LookupSchedule(), chance=0.5)
    looked_for: list[tuple[Callable[..., Sequence[Any]], object]] = [
        (load_checkouts, name_of(f"paid_{one}")),
        (expire_checkouts, 100),
        (void_expired, VoidExpired(100, ids.new_id)),
        (load_active_keys, [hash_secret(make_secret(Mode.TEST, random_part(one)).encode())]),
        (find_returning, f"return_{one}"),
        (load_attempts, name_of(f"att_{one}")),
        (load_refunds, name_of(f"ref_{one}")),
        (find_due_providers, ["simulator", "stripe"]),
        (claim_attempts, ClaimAttempts("stripe", 100, 1000)),
        (claim_attempts, ClaimAttempts("stripe", 100, 1000, except_for=("pac_m1", "pac_m2"))),
        (claim_attempts, ClaimAttempts("stripe", 100, 1000, only="pac_m1")),
        (claim_attempts, ClaimAttempts("stripe", 100, 1000, unsent_of=("pac_m1",))),
        (load_accounts, AccountName(f"pac_{one}", None)),
        (find_due_webhooks, DueWebhooks(100)),
        (find_due_webhooks, DueWebhooks(100, DuePosition(NOW - 1, WebhookName("stripe", "msg")))),
        (apply_webhooks, applying),
        (find_uncounted, FindUncounted("", 100)),
        (find_waiting_endpoints, 100),
        (find_upkeep, None),
        (load_endpoints, name_of(f"we_{one}")),
    ]
    for action, request in looked_for:
        assert cluster.find(action, request, by_node=True) == cluster.find(action, request, by_node=False), action
    names = {
        id(value): f"{name.removeprefix('paidonce.')}.{variable}"
        for name in modules()
        for variable, value in vars(importlib.import_module(name)).items()
        if isinstance(value, Statement)
    }
    assert {names[id(statement)] for statement in cluster.by_node} == STATEMENTS
