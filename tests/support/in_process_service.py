"""A service in this process without background work: no worker, no sender, and a clock that the test controls."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final
from unittest.mock import patch

import httpx
from sqlalchemy import select, update

import paidonce.app
from paidonce import ids
from paidonce.app import open_service
from paidonce.clock import Instant
from paidonce.database.schema import delivery, metadata, provider_webhook
from paidonce.encryption import write_key
from paidonce.events.model import Cause
from paidonce.merchants.actions import IssuedKey, NewKey, create_keys, create_merchants
from paidonce.merchants.model import MERCHANT_SCOPES, OPERATOR, Mode, Scope
from paidonce.merchants.secret import RANDOM_LENGTH
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.settle import RecordEvidence, record_evidence
from paidonce.provider_webhooks.actions import ReceivedWebhook, store_webhooks
from paidonce.providers.evidence import Authorized, Evidence, Notice, Succeeded
from paidonce.service import Service
from paidonce.settings import Settings
from paidonce.web import WebApp
from tests.support.fake_connector import FakeConnector
from tests.support.in_process_transport import InProcessTransport

Json = dict[str, Any]

NOW: Final = 1_700_000_000_000
ENCRYPTION_KEY: Final = write_key(bytes(32))
ENDPOINT: Final[Json] = {"url": "http://127.0.0.1:9/webhooks"}  # Nobody listens there.


class InProcessService:
    """A service with a merchant and an operator, each of which has an API key."""

    def __init__(self, service: Service, http: httpx.AsyncClient, clock: "Clock", fake: FakeConnector) -> None:
        self.service = service
        self.http = http
        self.clock = clock
        self.fake = fake
        self.merchant_id = ""
        self.merchant_key = ""
        self.operator_key = ""
        self._names = count()

    async def settle(self) -> None:
        """Create a new merchant without any data, and a new operator key."""
        self.merchant_id = self.new_name("m")
        await self.service.writer.submit(create_merchants, self.merchant_id)
        self.merchant_key = await self.api_key(self.merchant_id)
        self.operator_key = await self.api_key(OPERATOR)

    def new_name(self, prefix: str) -> str:
        """Return a unique name."""
        return f"{prefix}_{next(self._names)}"

    async def api_key(
        self, merchant_id: str, scopes: Collection[Scope] | None = None, *, mode: Mode = Mode.TEST
    ) -> str:
        """Create an API key as the command does; returns its secret."""
        return (await self.issued(merchant_id, scopes, mode=mode)).secret

    async def issued(
        self, merchant_id: str, scopes: Collection[Scope] | None = None, *, mode: Mode = Mode.TEST
    ) -> IssuedKey:
        """Create an API key with these scopes, or with all that its owner may have."""
        allowed = frozenset(Scope) if merchant_id == OPERATOR else MERCHANT_SCOPES
        new = NewKey(
            id=ids.new_id(ids.KEY),
            random_part=ids.draw_base62(RANDOM_LENGTH),
            merchant_id=merchant_id,
            mode=mode,
            scopes=allowed if scopes is None else frozenset(scopes),
        )
        issued = await self.service.writer.submit(create_keys, new)
        assert isinstance(issued, IssuedKey)
        return issued

    async def post(
        self, path: str, body: Json | None = None, *, key: str | None = None, as_who: str | None = None
    ) -> httpx.Response:
        """Send a POST, as the merchant by default, with or without an idempotency key."""
        headers = {"Authorization": f"Bearer {as_who or self.merchant_key}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        return await self.http.post(path, json=body or {}, headers=headers)

    async def get(self, path: str, *, as_who: str | None = None, **parameters: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {as_who or self.merchant_key}"}
        return await self.http.get(path, headers=headers, params=parameters)

    async def made(self, path: str, body: Json | None = None, *, as_who: str | None = None) -> Json:
        """Send a POST that must succeed; returns its response body."""
        answer = await self.post(path, body, as_who=as_who)
        assert answer.is_success, answer.text
        values: Json = answer.json()
        return values

    async def checkout(self, *, as_who: str | None = None, **fields: object) -> str:
        body = {"amount": 1000, "currency": "USD", "idempotencyKey": self.new_name("purchase"), **fields}
        checkout_id: str = (await self.made("/checkouts", body, as_who=as_who))["id"]
        return checkout_id

    async def paid(self, **fields: object) -> str:
        """Create a checkout and confirm its payment, as a worker would."""
        checkout_id = await self.checkout(as_who=None, **fields)
        paying = await self.made(f"/checkouts/{checkout_id}/pay")
        await self.prove(paying["attempt"]["id"])
        return checkout_id

    async def paying(self, **fields: object) -> Json:
        """Create a checkout and begin its payment; returns the checkout. Nothing is known of its outcome."""
        return await self.made(f"/checkouts/{await self.checkout(as_who=None, **fields)}/pay")

    async def provider_webhook(
        self, webhook_id: str = "", *, evidence: Evidence | None = None, key: str = "att_0"
    ) -> str:
        """Store a webhook of the simulator that was given up, because no attempt matches it; returns its id."""
        webhook_id = webhook_id or self.new_name("msg")
        received = ReceivedWebhook(
            "simulator", Notice(webhook_id, key, evidence or Succeeded("ch_1"), None), b'{"a":1}'
        )
        name = await self.service.writer.submit(store_webhooks, received)
        with self.service.database.write() as transaction:
            found = provider_webhook.c.id == name.id
            given_up = {"due_at": None, "tries": 6, "result": "ATTEMPT_NOT_FOUND"}
            transaction.run(update(provider_webhook).where(found).values(**given_up))
        return webhook_id

    async def authorized(self, **fields: object) -> str:
        """Create a checkout and confirm the authorization of its amount, as a worker would."""
        checkout_id = await self.checkout(as_who=None, captureMethod="manual", **fields)
        paying = await self.made(f"/checkouts/{checkout_id}/pay")
        await self.record(paying["attempt"]["id"], Authorized("ch_1"))
        return checkout_id

    async def prove(self, attempt_id: str, reference: str = "ch_1") -> None:
        """Record that an attempt has succeeded."""
        await self.record(attempt_id, Succeeded(reference))

    async def record(self, attempt_id: str, evidence: Evidence) -> None:
        """Record evidence about an attempt, as a worker would."""
        proof = RecordEvidence(
            attempt_id=attempt_id,
            evidence=evidence,
            cause=Cause.PROVIDER_ANSWER,
            schedule=LookupSchedule(),
            chance=0.5,
        )
        await self.service.writer.submit(record_evidence, proof)

    async def delivery(self) -> tuple[str, str]:
        """Create an endpoint and an event whose delivery to it has failed; returns both ids."""
        endpoint = await self.made("/webhook-endpoints", ENDPOINT)
        await self.checkout()
        deliveries = await self.get(f"/webhook-endpoints/{endpoint['id']}/deliveries")
        delivery_id: str = deliveries.json()["data"][0]["id"]
        with self.service.database.write() as transaction:
            failed = update(delivery).where(delivery.c.id == delivery_id).values(status="FAILED", due_at=None)
            transaction.run(failed)
        return endpoint["id"], delivery_id

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Read every row of every table."""
        with self.service.database.read() as transaction:
            return {
                table.name: sorted((tuple(row) for row in transaction.rows(select(table))), key=repr)
                for table in metadata.sorted_tables
            }


class Clock:
    """A clock that stands still until the test moves it."""

    def __init__(self) -> None:
        self.now: Instant = NOW

    def __call__(self) -> Instant:
        return self.now


@asynccontextmanager
async def open_in_process_service(
    database_url: str,
    folder: str,
    *,
    clock: Clock | None = None,
    migrating: bool = True,
    fake: FakeConnector | None = None,
    others: Sequence[FakeConnector] = (),
    **settings: object,
) -> AsyncIterator[InProcessService]:
    """Open a service with API keys in this process; ``settings`` override the defaults."""
    clock = clock or Clock()
    fake = fake or FakeConnector()
    values: dict[str, Any] = {
        "auth": "keys",
        "encryption_keys": ENCRYPTION_KEY,
        "webhook_allow_private": True,
        "simulator_database": f"file:{folder}/books.db",
        **settings,
    }
    with patch.object(paidonce.app, "system_clock", clock):
        async with open_service(
            Settings(database_url=database_url, **values),
            with_worker=False,
            migrating=migrating,
            connectors={name: one for each in (fake, *others) for name, one in each.connectors.items()},
        ) as service:
            transport = InProcessTransport(WebApp(service))
            async with httpx.AsyncClient(transport=transport, base_url="http://paidonce") as http:
                opened = InProcessService(service, http, clock, fake)
                await opened.settle()
                yield opened
