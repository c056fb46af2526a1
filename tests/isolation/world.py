"""Two merchants on one service: the owner has things in every state in test mode. A key of the other merchant, and the
owner's own key for live mode, must not reach them.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import httpx
from sqlalchemy import Connection, Select, Table, event, select

from paidonce import ids
from paidonce.app import open_service
from paidonce.database import statement as statement_module
from paidonce.database.schema import metadata, webhook_endpoint
from paidonce.database.statement import execute_on_driver
from paidonce.encryption import write_key
from paidonce.http.openapi import build_document
from paidonce.http.routes import OPERATIONS
from paidonce.merchants.actions import IssuedKey, NewKey, create_keys, create_merchants
from paidonce.merchants.model import MERCHANT_SCOPES, OPERATOR, Mode, Scope
from paidonce.merchants.secret import RANDOM_LENGTH
from paidonce.service import Service
from paidonce.settings import Settings
from paidonce.web import WebApp
from tests.isolation.routes import ACCOUNT, CREATE, ENDPOINT, NOT_OWNED, Json
from tests.support.fake_connector import FakeConnector
from tests.support.in_process_transport import InProcessTransport

OWNER: Final = "m_owner"
OTHER: Final = "m_other"
WORD: Final = "kumquat"  # In a description of the owner's.
NOBODY: Final = "m_nobod"  # As long as the owner's, so that answers are, too.


def document() -> Json:
    """The OpenAPI document."""
    return build_document(OPERATIONS)


class World:
    """``things`` has the ids of all that is the owner's, by the name of the parameter that takes them."""

    def __init__(self, service: Service, http: httpx.AsyncClient) -> None:
        self.service = service
        self.http = http
        self.things: dict[str, list[str]] = {"merchant": [OWNER]}

    async def settle(self) -> None:
        """Make both merchants and all that is theirs."""
        for merchant_id in (OWNER, OTHER):
            await self.service.writer.submit(create_merchants, merchant_id)
        self.owner = await self.key(OWNER)
        self.other = await self.key(OTHER)
        self.live = await self.key(OWNER, mode=Mode.LIVE)
        self.admin = await self.key(OPERATOR)
        made = await self.called("POST", "/webhook-endpoints", self.owner, json=ENDPOINT)
        self.things["endpoint_id"] = [made["id"]]
        # Paused, so that what it is to be told stays where it is.
        await self.called("PATCH", f"/webhook-endpoints/{made['id']}", self.owner, json={"enabled": False})
        account = await self.called("POST", "/provider-accounts", self.owner, json=ACCOUNT)
        self.things["account_id"] = [account["id"]]
        await self._buy(self.other, "the-others", "tok_success")
        await self._buy(self.live, "the-others")
        completed = await self._buy(self.owner, "the-owners", "tok_success")
        self.things["checkout_id"] = [
            completed,
            await self._buy(self.owner, "pending", description=WORD),
            await self._buy(self.owner, "failed", "tok_declined_expired_card"),
            await self._buy(self.owner, "authorized", "tok_success", captureMethod="manual"),
            await self._buy(self.owner, "processing", "tok_delay_500000", wait_seconds=0),
            canceled := await self._buy(self.owner, "canceled"),
            captured := await self._buy(self.owner, "captured", "tok_success", captureMethod="manual"),
        ]
        self.things["word"] = [WORD]
        await self.service.rollup.catch_up()  # So that it is found by the word.
        await self.called("POST", f"/checkouts/{canceled}/cancel", self.owner)
        await self.called("POST", f"/checkouts/{captured}/capture", self.owner, headers={"Prefer": "wait=20"})
        refund = await self.called(
            "POST",
            f"/checkouts/{completed}/refunds",
            self.owner,
            json={"amount": 100},
            headers={"Idempotency-Key": "the-owners-refund"},
        )
        self.things["key"] = ["the-owners-refund"]
        self.things["refund_id"] = [refund["id"]]
        paid = await self.called("GET", f"/checkouts/{completed}", self.owner)
        self.things["attempt_id"] = [paid["attempt"]["id"], refund["id"]]
        while refund["status"] == "PENDING":
            refund = await self.called("GET", f"/refunds/{refund['id']}", self.owner)
            await asyncio.sleep(0.01)
        events = await self.called("GET", "/events", self.owner)
        self.things["event_id"] = [one["id"] for one in events["data"]]
        deliveries = await self.called("GET", f"/webhook-endpoints/{made['id']}/deliveries?limit=2", self.owner)
        self.things["delivery_id"] = [one["id"] for one in deliveries["data"]]
        await self.service.rollup.catch_up()  # Nothing of the owner's is counted while somebody looks.

    @property
    def strangers(self) -> dict[str, str]:
        """The keys that must not reach the owner's things, by the name that they may say because it is their own."""
        return {OTHER: self.other, OWNER: self.live}

    async def key(self, merchant_id: str, *without: Scope, mode: Mode = Mode.TEST) -> str:
        """Make a key, with all scopes but these; returns its secret."""
        scopes = frozenset(Scope) if merchant_id == OPERATOR else MERCHANT_SCOPES
        new = NewKey(
            id=ids.new_id(ids.KEY),
            random_part=ids.draw_base62(RANDOM_LENGTH),
            merchant_id=merchant_id,
            mode=mode,
            scopes=scopes - set(without),
        )
        issued = await self.service.writer.submit(create_keys, new)
        assert isinstance(issued, IssuedKey)
        if merchant_id == OWNER and mode is Mode.TEST:
            self.things.setdefault("key_id", []).append(new.id)
        return issued.secret

    async def _buy(
        self, key: str, name: str, method: str | None = None, *, wait_seconds: int = 20, **fields: str
    ) -> str:
        made = await self.called("POST", "/checkouts", key, json={**CREATE, "idempotencyKey": name, **fields})
        checkout_id: str = made["id"]
        if method is not None:
            wait = {"Prefer": f"wait={wait_seconds}"} if wait_seconds else {}
            body = {"paymentMethod": method, "provider": "simulator"}
            await self.called("POST", f"/checkouts/{checkout_id}/pay", key, json=body, headers=wait)
        return checkout_id

    async def called(self, method: str, path: str, key: str, **request: Any) -> Json:  # noqa: ANN401 - what httpx takes
        """Make a call that must do what it says."""
        answer = await self.call(method, path, key, **request)
        assert answer.is_success, answer.text
        body: Json = answer.json()
        return body

    async def call(self, method: str, path: str, key: str | None, **request: Any) -> httpx.Response:  # noqa: ANN401 - as above
        """Make a call; every one bears the same request id, so that answers can be compared."""
        headers = {"X-Request-Id": "isolation", **request.pop("headers", {})}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        return await self.http.request(method, path, headers=headers, **request)

    def named_in(self, path: str) -> Iterator[tuple[str, str]]:
        """Yield each of the owner's things that a path can name, with the parameter that takes it."""
        for name in re.findall(r"{(.+?)}", path):
            if name not in NOT_OWNED:
                for thing in self.things[name]:
                    yield name, thing

    def owned_rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Read everything of the owner's in test mode that any table has."""
        with self.service.database.read() as transaction:
            return {
                table.name: sorted(tuple(row) for row in transaction.rows(_owned(table)))
                for table in metadata.sorted_tables
                if table.name == "merchant" or "merchant_id" in table.c
            }

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """See to it that nothing of the owner's changes meanwhile."""
        before = self.owned_rows()
        yield
        assert self.owned_rows() == before

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """Write down every statement; but keys are read when it is time, in a transaction of their own."""
        statements: list[str] = []

        def note(statement: str) -> None:
            if "api_key" not in statement and not statement.startswith("BEGIN"):
                statements.append(statement)

        def note_event(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            note(statement)

        def run_and_note(connection: Connection, sql: str, values: object = ()) -> Any:  # noqa: ANN401 - as it is
            note(sql)
            return execute_on_driver(connection, sql, values)

        engine = self.service.database.writes
        engines = {engine, self.service.database.reads} if self.service.database.exclusive else {engine}
        for one in engines:  # On PostgreSQL the one for reading is a view of the other.
            event.listen(one, "before_cursor_execute", note_event)
        try:
            with patch.object(statement_module, "execute_on_driver", run_and_note):
                yield statements
        finally:
            for one in engines:
                event.remove(one, "before_cursor_execute", note_event)


def _owned(table: Table) -> Select[Any]:
    """Select the owner's rows of test mode. A delivery has the mode of its endpoint."""
    if table.name == "merchant":
        return select(table.c.id, table.c.event_sequence).where(table.c.id == OWNER)
    statement = select(table).where(table.c.merchant_id == OWNER)
    if "mode" in table.c:
        return statement.where(table.c.mode == Mode.TEST)
    if "endpoint_id" in table.c:
        of_test = select(webhook_endpoint.c.id).where(webhook_endpoint.c.mode == Mode.TEST)
        return statement.where(table.c.endpoint_id.in_(of_test))
    return statement


def nothing_like(thing: str) -> str:
    """Make an id as long as another, and next to it, that nothing has."""
    return NOBODY if thing == OWNER else thing[:-1] + ("1" if thing[-1] != "1" else "2")


def told(answer: httpx.Response, *names: str) -> tuple[int, list[tuple[str, str]], str]:
    """Give all that an answer tells, but for the ids that its request named, and what is left of the caller's quota."""
    text, headers = answer.text, [one for one in answer.headers.items() if one[0] not in ("date", "ratelimit")]
    for name in names:
        text = text.replace(name, "…")
    return answer.status_code, headers, text


@asynccontextmanager
async def open_world(database_url: str, folder: Path) -> AsyncIterator[World]:
    """Open a service with keys in this process, and settle it. Nothing in it moves unless it is asked to."""
    settings = Settings(
        database_url=database_url,
        auth="keys",
        encryption_keys=write_key(bytes(32)),
        webhook_allow_private=True,
        simulator_database=f"file:{folder}/books.db",
        simulator_latency_ms=0,
        provider_timeout_seconds=600,
        lease_seconds=3600,
        poll_seconds=60,
        shutdown_seconds=0,
    )
    fake = FakeConnector().connectors
    async with open_service(settings, with_worker=True, migrating=True, connectors=fake) as service:
        transport = InProcessTransport(WebApp(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://paidonce") as http:
            world = World(service, http)
            await world.settle()
            yield world
