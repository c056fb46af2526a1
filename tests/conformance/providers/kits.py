"""What the contract needs to know of each provider: how to reach it, and how to bring about what it tests.

A connector for another provider adds one kit, with the payment methods of its sandbox or its double. What a provider
cannot do is None, and the tests of it are skipped for this kit with the reason.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Final, TypeAlias

import httpx
import msgspec
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette
from starlette.routing import Mount

from paidonce.clock import system_clock
from paidonce.database.batcher import threaded_batcher
from paidonce.database.engine import open_database
from paidonce.database.transaction import Transaction
from paidonce.database_url import DatabaseUrl
from paidonce.ids import system_chance
from paidonce.providers.base import HOSTED_PAGE, ChargeRequest, Modification, Provider
from paidonce.providers.evidence import BuyerAction, Evidence, Redirect
from paidonce.providers.simulator.books import make_books
from paidonce.providers.simulator.connector import ConnectorSettings, SimulatorConnector
from paidonce.providers.simulator.page import page_routes
from paidonce.providers.simulator.provider import Simulator
from paidonce.providers.simulator.server import create_simulator_app
from paidonce.providers.simulator.wire import Operation, WebhookBody
from tests.support.provider_process import SECRET, forgeries, signed, simulator_url
from tests.support.service_process import ServiceProcess

Running: TypeAlias = Callable[[], ServiceProcess]
"""Gives a simulator that runs: one for all tests, and another where a test has killed that."""

RETURN_URL: Final = "http://service.test/return/token"


class Kit(ABC):
    """A provider under test. Payment methods are those of its sandbox; None where it has none that does this."""

    provider: Provider
    patience_seconds: float
    """How long a provider that does not answer is waited for."""

    succeeding: str
    """Succeeds, without a buyer if the provider has such a method, and otherwise as soon as the buyer approves."""
    declining: str
    decline_code: str

    # Faults of the first call.
    failing_before: str | None = None
    """It fails before anything is booked."""
    failing_after: str | None = None
    """It fails though it is booked."""
    silent: str | None = None
    """It is booked and never answered."""
    replayed_error: str | None = None
    """It is booked and fails, and the key is answered with this failure for ever."""
    refused: str | None = None
    """The provider refuses the call, and books nothing."""
    marks_replays = True
    """Whether the provider tells that a response is the stored one."""

    # Sessions.
    paid_by_buyer: tuple[str, ...] = ()
    """The session is charged when the buyer approves."""
    approved_then_declined: str | None = None
    """The buyer approves, and the bank declines."""
    approved_then_charged: str | None = None
    """The approval of the buyer moves no money; the merchant charges."""
    charged_without_buyer: str | None = None
    """The session needs no buyer."""
    buyer_decline_code: str | None = None
    """None where a buyer who declines leaves the session open."""
    shortest_session_ms: int | None = None

    # The outcome comes later: that of a charge, and those of captures and refunds of a charge with this method.
    accepted: str | None = None
    accepted_then_declined: str | None = None
    capture_accepted: str | None = None
    capture_accepted_then_failed: str | None = None
    refund_accepted: str | None = None
    refund_accepted_then_failed: str | None = None

    proves_release = True
    """Whether another void of what is not held any more proves that. Otherwise only a webhook does."""

    webhook_id: str
    """The id of the webhooks that ``webhook`` and ``other_webhooks`` return, once they are signed."""
    other_webhooks: tuple[bytes, ...]
    """Webhooks that tell nothing about a payment."""

    pays_after_approval = False
    """Whether each session is approved by a buyer first. The payment methods above are then what the buyer chooses."""

    def method(self, chosen: str) -> str:
        """Return what the merchant asks for, so that a buyer can choose one of the payment methods above."""
        return chosen

    async def choose(self, action: BuyerAction, chosen: str) -> None:
        """Approve a payment as the buyer, with one of the payment methods above."""
        raise NotImplementedError(chosen)

    @abstractmethod
    def webhook(self, key: str, reference: str) -> bytes:
        """Write the body that tells that the charge of 10.00 with this key succeeded."""

    async def look_up(self, request: ChargeRequest | Modification) -> Evidence:
        """Tell what is known about an operation by now. A provider without look-ups has told it by webhook."""
        return await self.provider.look_up(request)

    @abstractmethod
    def signed(self, body: bytes) -> Mapping[str, str]:
        """Return the headers of a webhook that the provider has signed."""

    def forged_bodies(self, body: bytes) -> Mapping[str, bytes]:  # noqa: ARG002 - of a provider that signs in headers
        """Return forged bodies of a provider whose signature is in the body, by what is wrong with them."""
        return {}

    @abstractmethod
    def forgeries(self, body: bytes) -> Mapping[str, Mapping[str, str]]:
        """Return invalid headers, by what is wrong with them."""

    @abstractmethod
    async def approve(self, action: BuyerAction) -> None:
        """Approve a payment, as the buyer does."""

    @abstractmethod
    async def decline(self, action: BuyerAction) -> None:
        """Decline a payment, as the buyer does."""

    @abstractmethod
    async def money_moved(self, checkout_id: str) -> list[int]:
        """Read from the provider's own records the amounts that were charged or authorized for a checkout."""

    @abstractmethod
    def vanish(self) -> None:
        """Make the provider one that cannot be reached."""


class SimulatorKit(Kit):
    """The simulator, wherever it runs. ``client`` reaches its pages and its list of charges."""

    patience_seconds = 3.0  # An answer comes within it also where the machine is busy.
    succeeding = "tok_success"
    declining = "tok_declined_expired_card"
    decline_code = "expired_card"
    failing_before = "tok_error_then_success"
    failing_after = "tok_error_after_charge"
    silent = "tok_timeout_then_success"
    replayed_error = "tok_replayed_error"
    refused = "tok_refused"
    paid_by_buyer = (HOSTED_PAGE, "tok_redirect", "tok_3ds")
    approved_then_declined = "tok_redirect_declined_expired_card"
    approved_then_charged = "tok_redirect_then_charge"
    charged_without_buyer = "tok_session"
    buyer_decline_code = "buyer_declined"
    shortest_session_ms = 1000
    accepted = "tok_accepted"
    accepted_then_declined = "tok_accepted_then_declined"
    capture_accepted = "tok_capture_accepted"
    capture_accepted_then_failed = "tok_capture_accepted_then_failed"
    refund_accepted = "tok_refund_accepted"
    refund_accepted_then_failed = "tok_refund_accepted_then_failed"
    webhook_id = "msg_1"
    other_webhooks = (b"{}", b'{"type":"account.updated","data":{"id":1}}')

    def __init__(self, provider: Provider, client: httpx.AsyncClient, vanish: Callable[[], object]) -> None:
        self.provider = provider
        self._client = client
        self._vanish = vanish

    def webhook(self, key: str, reference: str) -> bytes:
        operation = Operation(key=key, kind="charge", reference=reference, outcome="succeeded", amount=1000)
        return msgspec.json.encode(
            WebhookBody(type="charge.succeeded", timestamp="2026-01-02T03:04:05.678Z", data=operation)
        )

    def signed(self, body: bytes) -> Mapping[str, str]:
        return signed(body, message_id=self.webhook_id)

    def forgeries(self, body: bytes) -> Mapping[str, Mapping[str, str]]:
        return forgeries(body)

    async def approve(self, action: BuyerAction) -> None:
        await self._press("approve", action)

    async def decline(self, action: BuyerAction) -> None:
        await self._press("decline", action)

    async def _press(self, button: str, action: BuyerAction) -> None:
        assert isinstance(action, Redirect)
        answer = await self._client.post(f"{action.url}/{button}")
        assert (answer.status_code, answer.headers["location"]) == (303, RETURN_URL)

    async def money_moved(self, checkout_id: str) -> list[int]:
        lines = (await self._client.get("/charges")).json()["data"]
        return [line["amount"] for line in lines if line["checkoutId"] == checkout_id and line["status"] != "declined"]

    def vanish(self) -> None:
        self._vanish()


@asynccontextmanager
async def in_process(folder: Path, _running: Running) -> AsyncIterator[Kit]:
    """The simulator in the service's own process, whose pages are the service's."""
    database = open_database(DatabaseUrl("sqlite", path=folder / "books.db"), clock=system_clock, exclusive=False)
    make_books(database)
    gone: list[bool] = []

    def begin() -> AbstractContextManager[Transaction]:
        if gone:
            raise OperationalError("", None, _full_disk())
        return database.write()

    books = threaded_batcher(begin, name="books", queue_limit=1000, batch_limit=64, chance=system_chance)
    await books.start()
    simulator = Simulator(books, latency_ms=0, webhook_secret=SECRET)
    pages = Mount("/simulator/pay", routes=page_routes(simulator.simulation))
    app = Starlette(routes=[pages, Mount("/", create_simulator_app(simulator.simulation))])
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service.test") as client:
            yield SimulatorKit(simulator, client, lambda: gone.append(True))
    finally:
        await books.stop()
        database.close()


def _full_disk() -> Exception:
    error = Exception("disk full")
    error.sqlite_errorcode = 13  # type: ignore[attr-defined]
    return error


@asynccontextmanager
async def over_http(_folder: Path, running: Running) -> AsyncIterator[Kit]:
    """The connector, before a simulator that is a process of its own."""
    simulator = running()
    url = simulator_url(simulator)
    connector = SimulatorConnector(
        ConnectorSettings(url=url, timeout_seconds=SimulatorKit.patience_seconds, webhook_secret=SECRET),
        clock=system_clock,
    )
    try:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            yield SimulatorKit(connector, client, simulator.kill)
    finally:
        await connector.disconnect()


KITS: Final[Mapping[str, Callable[[Path, Running], AbstractAsyncContextManager[Kit]]]] = {
    "in process": in_process,
    "over HTTP": over_http,
}
