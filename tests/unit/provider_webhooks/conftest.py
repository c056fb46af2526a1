"""A merchant's database with providers' webhooks, and a clock that stands still until it is moved."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from sqlalchemy import select

from paidonce.checkouts.actions import create_checkouts, load_timelines
from paidonce.checkouts.model import NewCheckout, ProviderRoute
from paidonce.clock import Instant
from paidonce.database.engine import Database, open_database
from paidonce.database.migrate import migrate
from paidonce.database.schema import attempt, checkout, provider_webhook
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url
from paidonce.events.store import write_events
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.capture import StartCapture, start_captures
from paidonce.payments.pay import StartPayment, start_payments
from paidonce.payments.schedule import LookupSchedule
from paidonce.provider_webhooks.actions import (
    Applied,
    ApplyWebhook,
    DueWebhooks,
    ReceivedWebhook,
    apply_webhooks,
    find_due_webhooks,
    store_webhooks,
)
from paidonce.provider_webhooks.store import WebhookName
from paidonce.providers.evidence import Authorized, Declined, Evidence, ExternalChange, Notice, Succeeded

NOW: Final = 1_700_000_000_000
SUCCESS: Final = Succeeded("ch_1")
DECLINE: Final = Declined("expired_card", "ch_1")


class Shop:
    """A database with a clock that stands still until it is moved, and the actions of one merchant on it."""

    def __init__(self, url: str) -> None:
        self.now: Instant = NOW
        self.url = url
        self.database: Database = open_database(
            parse_database_url(url), clock=lambda: self.now, before_commit=write_events
        )
        migrate(self.database)

    def do(self, action: Callable[[Transaction, Any], Any], *requests: object) -> list[Any]:
        with self.database.write() as transaction:
            return list(action(transaction, requests))

    def pays(
        self, name: str, attempt_id: str, account_id: str | None = None, *, capture_method: str = "automatic"
    ) -> str:
        """Have a checkout whose payment is under way."""
        wish = NewCheckout(
            id=f"chk_{name}",
            merchant_id="m1",
            idempotency_key=name,
            amount=1000,
            currency="USD",
            capture_method=capture_method,
        )
        self.do(create_checkouts, wish)
        self.pay(f"chk_{name}", attempt_id, account_id)
        return f"chk_{name}"

    def pay(self, checkout_id: str, attempt_id: str, account_id: str | None = None) -> None:
        wish = StartPayment(
            attempt_id=attempt_id,
            checkout=TenantScopedId(checkout_id, None),
            payment_method="tok",
            route=ProviderRoute("simulator", account_id),
            lease_ms=30_000,
        )
        self.do(start_payments, wish)

    def captures(self, name: str) -> str:
        """Have a checkout that is authorized by the attempt ``att_1``, and whose capture ``att_2`` is under way."""
        checkout_id = self.pays(name, "att_1", capture_method="manual")
        self.apply(self.receive(Authorized("ch_1")))
        wish = StartCapture(
            attempt_id="att_2", checkout=TenantScopedId(checkout_id, None), lease_ms=30_000, amount=None
        )
        self.do(start_captures, wish)
        return checkout_id

    def receive(
        self,
        evidence: Evidence | ExternalChange | None,
        key: str | None = "att_1",
        webhook_id: str = "msg_1",
        provider: str = "simulator",
        reference: str | None = None,
    ) -> WebhookName:
        received = ReceivedWebhook(provider, Notice(webhook_id, key, evidence, reference), b'{"a":1}')
        name: WebhookName = self.do(store_webhooks, received)[0]
        return name

    def apply(self, *names: WebhookName) -> list[str | None]:
        wishes = [ApplyWebhook(name=name, schedule=LookupSchedule(), chance=0.5) for name in names]
        applied: list[Applied | None] = self.do(apply_webhooks, *wishes)
        return [None if one is None else str(one.result) for one in applied]

    def row(self, webhook_id: str = "msg_1") -> Any:  # noqa: ANN401 - a row
        with self.database.read() as transaction:
            return transaction.rows(select(provider_webhook).where(provider_webhook.c.id == webhook_id))[0]

    def status(self, checkout_id: str) -> str:
        with self.database.read() as transaction:
            found: str = transaction.rows(select(checkout.c.status).where(checkout.c.id == checkout_id))[0][0]
        return found

    def attempts(self, checkout_id: str) -> list[tuple[str, str]]:
        wanted = select(attempt.c.kind, attempt.c.status).where(attempt.c.checkout_id == checkout_id)
        oldest_first = wanted.order_by(attempt.c.created_at, attempt.c.id)
        with self.database.read() as transaction:
            return [(row.kind, row.status) for row in transaction.rows(oldest_first)]

    def history(self, checkout_id: str) -> list[tuple[str, str]]:
        return [(event.type, event.cause) for event in self.do(load_timelines, TenantScopedId(checkout_id, None))[0]]

    def due(self) -> list[str]:
        return [one.name.id for one in self.do(find_due_webhooks, DueWebhooks(10))[0]]


@pytest.fixture
def shop(migrated_database_url: str) -> Iterator[Shop]:
    one = Shop(migrated_database_url)
    yield one
    one.database.close()
