"""A merchant with webhook endpoints on a database of each kind, and a clock that stands still until it is moved."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Final

import pytest
from sqlalchemy import select

from paidonce import ids
from paidonce.checkouts.actions import create_checkouts
from paidonce.checkouts.model import NewCheckout
from paidonce.clock import Instant
from paidonce.database.engine import Database, open_database
from paidonce.database.migrate import migrate
from paidonce.database.schema import delivery, event
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url
from paidonce.encryption import Keyring
from paidonce.merchants.model import TenantScopedId
from paidonce.webhook_endpoints.actions import (
    ChangeEndpoint,
    CreateEndpoint,
    change_endpoints,
    create_endpoints,
    load_endpoints,
)
from paidonce.webhook_endpoints.delivery_actions import (
    ClaimDeliveries,
    ClaimedDelivery,
    RecordTry,
    claim_deliveries,
    find_waiting_endpoints,
    record_tries,
)
from paidonce.webhook_endpoints.due_delivery_store import Share
from paidonce.webhook_endpoints.maintenance import do_upkeep, find_upkeep
from paidonce.webhook_endpoints.model import PLACES_OF_AN_ENDPOINT, Schedule, WebhookEndpoint
from paidonce.webhook_endpoints.outbox import write_events_and_deliveries
from paidonce.webhook_endpoints.secrets import seal_secret
from tests.support.databases import delete_all_rows, fresh_database, use_statements_for_citus

NOW: Final = 1_700_000_000_000
LEASE_MS: Final = 45_000


class Outgoing:
    """What merchants and senders do with a database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.now: Instant = NOW
        self.database: Database = open_database(
            parse_database_url(url), clock=lambda: self.now, before_commit=write_events_and_deliveries
        )
        migrate(self.database)

    def do(self, action: Callable[[Transaction, Any], Any], *requests: object) -> list[Any]:
        with self.database.write() as transaction:
            return list(action(transaction, requests))

    def endpoint(
        self,
        merchant_id: str = "m1",
        types: Sequence[str] | None = None,
        *,
        mode: str = "test",
        keyring: Keyring | None = None,
    ) -> WebhookEndpoint:
        """Make an endpoint; its secret can be opened where ``keyring`` seals it."""
        endpoint_id = ids.new_id(ids.ENDPOINT)
        sealed = "sealed"
        if keyring is not None:
            sealed = seal_secret(keyring, b"s" * 32, merchant_id=merchant_id, endpoint_id=endpoint_id)
        wish = CreateEndpoint(
            id=endpoint_id,
            merchant_id=merchant_id,
            url="https://shop.example/hook",
            event_types=json.dumps(types) if types else None,
            description=None,
            secret=sealed,
            mode=mode,
        )
        made: WebhookEndpoint = self.do(create_endpoints, wish)[0]
        return made

    def change(self, endpoint: WebhookEndpoint, **changes: Any) -> WebhookEndpoint:  # noqa: ANN401 - the request's fields
        wish = ChangeEndpoint(name=TenantScopedId(endpoint.id, endpoint.merchant_id), **changes)
        changed: WebhookEndpoint = self.do(change_endpoints, wish)[0]
        return changed

    def happen(self, *merchant_ids: str) -> list[str]:
        """Create a checkout for each; returns the checkouts' ids."""
        wishes = [
            NewCheckout(
                id=ids.new_id(ids.CHECKOUT),
                merchant_id=one,
                idempotency_key=ids.new_id("k"),
                amount=1000,
                currency="USD",
            )
            for one in merchant_ids
        ]
        self.do(create_checkouts, *wishes)
        return [one.id for one in wishes]

    def waiting(self) -> list[str]:
        return [one.endpoint_id for one in self.do(find_waiting_endpoints, 100)[0]]

    def keep_up(self) -> bool:
        """Do what a sender does beside sending in one round; returns whether there was anything to do."""
        (found,) = self.do(find_upkeep, None)
        self.do(do_upkeep, found)
        return bool(found.redeliveries or found.deleted)

    def claim(self, *endpoints: WebhookEndpoint, places: int = PLACES_OF_AN_ENDPOINT) -> list[ClaimedDelivery]:
        shares = [Share(one.id, one.merchant_id, places) for one in endpoints]
        claimed: list[ClaimedDelivery] = self.do(claim_deliveries, ClaimDeliveries(shares, LEASE_MS))[0]
        return sorted(claimed, key=lambda one: one.delivery.number)

    def record(
        self,
        *claimed: ClaimedDelivery,
        status: int | None = 200,
        error: str | None = None,
        **more: Any,  # noqa: ANN401
    ) -> None:
        failed = error or (None if status is not None and 200 <= status < 300 else f"answered {status}")
        tries = [
            RecordTry(
                delivery=one.delivery,
                started_at=self.now,
                duration_ms=7,
                schedule=Schedule(),
                chance=0.5,
                status_code=status,
                error=failed,
                answer="hello",
                **more,
            )
            for one in claimed
        ]
        self.do(record_tries, *tries)

    def read(self, endpoint: WebhookEndpoint) -> WebhookEndpoint:
        """Read an endpoint as it stands now."""
        found: WebhookEndpoint = self.do(load_endpoints, TenantScopedId(endpoint.id, endpoint.merchant_id))[0]
        return found

    def rows(self, endpoint: WebhookEndpoint) -> list[Any]:
        wanted = select(delivery).where(delivery.c.endpoint_id == endpoint.id).order_by(delivery.c.number)
        with self.database.read() as transaction:
            return list(transaction.rows(wanted))

    def events(self, merchant_id: str = "m1") -> list[tuple[str, dict[str, Any]]]:
        wanted = select(event.c.type, event.c.detail).where(event.c.merchant_id == merchant_id)
        with self.database.read() as transaction:
            rows = transaction.rows(wanted.order_by(event.c.sequence))
        return [(row.type, json.loads(row.detail or "{}")) for row in rows]


@pytest.fixture(scope="session", params=["sqlite", "postgresql", "statements for citus on postgresql"])
def shared_outgoing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outgoing]:
    """Make one database of each kind for all of these tests: migrating takes longer than most of them."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"file:{tmp_path_factory.mktemp('outgoing')}/paidonce.db"
        else:
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres_server_url")))
        one = Outgoing(url)
        stack.callback(one.database.close)
        if "citus" in request.param:
            use_statements_for_citus(one.database)
        yield one


@pytest.fixture
def outgoing(shared_outgoing: Outgoing) -> Outgoing:
    """Lend an empty database, with the clock at its start."""
    shared_outgoing.now = NOW
    delete_all_rows(shared_outgoing.database, shared_outgoing.url)
    return shared_outgoing
