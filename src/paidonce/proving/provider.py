"""The provider of a proof: the simulator, or the double of a real provider, as a process of its own."""

import asyncio
from base64 import b64encode, urlsafe_b64encode
from collections import defaultdict
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec

from paidonce.http_client import HttpClient, NoAnswer
from paidonce.ids import Draw, seeded
from paidonce.proving.kits import Account, Kit
from paidonce.proving.ledger import read_ledger
from paidonce.proving.plan import FAULT_RATE, FAULTY_CALLS_MAX, LATENCY_MS, Plan
from paidonce.proving.processes import START_SECONDS_MAX, Process, free_port
from paidonce.proving.snapshot import Snapshot, opened_database, read_rows, take_snapshot

MERCHANTS: Final = 8
RETRY_SECONDS: Final = 0.2


class Faults(msgspec.Struct, frozen=True):
    """How often each fault occurred, and the names of all that there are."""

    data: dict[str, int]
    kinds: list[str]


class ProofProvider:
    """The provider. ``settings`` are what the service needs to know of it."""

    def __init__(self, plan: Plan, service_port: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = {plan.kit.url_setting: self.url}
        self.http = HttpClient(self.url)
        self._plan = plan
        self._service_url = f"http://127.0.0.1:{service_port}"
        self._accounts: dict[str, Account] = {}  # By merchant.
        draw = seeded(plan.seed)
        if plan.kit.account is None:
            secret = {"PAIDONCE_SIMULATOR_WEBHOOK_SECRET": f"whsec_{b64encode(draw.randbytes(32)).decode()}"}
            self.settings |= secret
            self.process = Process("simulator", self._simulator_arguments(), secret, plan.folder)
            return
        self.settings["PAIDONCE_PUBLIC_URL"] = self._service_url  # Payments at Mollie name where their webhooks go.
        self.settings["PAIDONCE_ENCRYPTION_KEYS"] = "pek_" + urlsafe_b64encode(draw.randbytes(32)).decode().rstrip("=")
        self._accounts = {merchant: _account(plan.kit, number, draw) for number, merchant in enumerate(merchants())}
        options = ["--port", str(self.port), "--fault-rate", str(FAULT_RATE), "--seed", str(plan.seed)]
        module = f"paidonce.proving.doubles.{plan.kit.name}"
        self.process = Process(plan.kit.name, options, {}, plan.folder, module=module)

    async def start(self, answers: Callable[[HttpClient, str], Awaitable[None]]) -> None:
        """Start it; returns when it responds."""
        await self.process.start()
        await answers(self.http, "/health" if self._plan.kit.account is None else "/double/books")

    async def add_accounts(self, service: HttpClient) -> None:
        """Give each merchant an account, and tell the double where its webhooks go."""
        for merchant_id, account in self._accounts.items():
            body = {
                "merchantId": merchant_id,
                "provider": self._plan.kit.name,
                "credentials": dict(account.credentials),
            }
            account_id = await _created(service, body, f"account-of-{merchant_id}")
            url = f"{self._service_url}/providers/{self._plan.kit.name}/{account_id}/webhooks"
            told = {"credential": account.credential, "webhookUrl": url, "webhookSecret": account.webhook_secret}
            await self.http.request("POST", "/double/accounts", [told])

    async def faults(self) -> Faults:
        """Read how often each fault occurred."""
        path = "/faults" if self._plan.kit.account is None else "/double/faults"
        return msgspec.convert((await self.http.request("GET", path)).json(), Faults)

    async def movements(self) -> list[Any]:
        """Read the ledger of a double; empty for the simulator."""
        if self._plan.kit.account is None:
            return []
        movements: list[Any] = (await self.http.request("GET", "/double/books")).json()["movements"]
        return movements

    async def snapshot(self) -> Snapshot:
        """Read all rows, and the books."""
        if self._plan.kit.account is None:
            return await asyncio.to_thread(take_snapshot, self._plan.database_url, self._plan.books)

        def rows() -> Snapshot:
            with opened_database(self._plan.database_url) as connection:
                return read_rows(connection)

        found = await asyncio.to_thread(rows)
        merchant_of = {account.credential: merchant for merchant, account in self._accounts.items()}
        books = read_ledger(await self.movements(), defaultdict(str, merchant_of))
        return found._replace(charges=books.charges, changes=books.changes)

    async def end(self) -> None:
        """Stop it."""
        await self.http.close()
        await self.process.end()

    def _simulator_arguments(self) -> list[str]:
        return [
            "simulator",
            *("--port", str(self.port)),
            *("--database", str(self._plan.books)),
            *("--latency-ms", str(LATENCY_MS)),
            *("--webhook-url", f"{self._service_url}/providers/simulator/webhooks"),
            *("--fault-rate", str(FAULT_RATE)),
            *("--faulty-calls", str(FAULTY_CALLS_MAX)),
            *("--seed", str(self._plan.seed)),
        ]


async def _created(service: HttpClient, body: object, key: str) -> str:
    """Add an account, however often it must be tried on a slow machine; returns its id."""
    async with asyncio.timeout(START_SECONDS_MAX):
        while True:
            try:
                made = await service.request("POST", "/provider-accounts", body, headers={"Idempotency-Key": key})
            except NoAnswer:
                continue
            if made.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                assert made.status == HTTPStatus.CREATED, made.body
                account_id: str = made.json()["id"]
                return account_id
            await asyncio.sleep(RETRY_SECONDS)


def merchants() -> list[str]:
    """Return the ids of all merchants."""
    return [f"merchant-{number}" for number in range(MERCHANTS)]


def _account(kit: Kit, number: int, draw: Draw) -> Account:
    assert kit.account is not None
    return kit.account(number, draw.randbytes(16).hex())
