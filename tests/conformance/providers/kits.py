"""What the contract needs to know of each provider: how to reach it, and how to bring about what it tests.

A connector for another provider adds one kit here, with its sandbox's own ways to decline or lose an answer.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import msgspec
from sqlalchemy.exc import OperationalError

from paidonce.clock import system_clock
from paidonce.database.batcher import threaded_batcher
from paidonce.database.engine import open_database
from paidonce.database.transaction import Transaction
from paidonce.database_url import DatabaseUrl
from paidonce.ids import system_chance
from paidonce.providers.base import Provider
from paidonce.providers.simulator.books import make_books
from paidonce.providers.simulator.connector import ConnectorSettings, SimulatorConnector
from paidonce.providers.simulator.provider import Simulator
from paidonce.providers.simulator.wire import Operation, WebhookBody
from tests.support.provider_process import SECRET, simulator_url
from tests.support.service_process import ServiceProcess

Running: TypeAlias = Callable[[], ServiceProcess]
"""Gives a simulator that runs: one for all tests, and another where a test has killed that."""


class Kit(Protocol):
    """A provider under test. ``patience_seconds`` is how long a silent one is waited for."""

    provider: Provider
    succeeding: str
    declining: str
    decline_code: str
    failing_before: str
    """A method whose first call fails before anything is booked."""
    failing_after: str
    """A method whose first call fails though it is booked."""
    silent: str
    """A method whose first call is booked and never answered."""
    patience_seconds: float

    def webhook(self, key: str, reference: str) -> bytes:
        """Write the body that tells that the charge with this key succeeded."""
        ...

    def vanish(self) -> None:
        """Make the provider one that cannot be reached."""
        ...


class SimulatorKit:
    """The simulator, wherever it runs."""

    succeeding = "tok_success"
    declining = "tok_declined_expired_card"
    decline_code = "expired_card"
    failing_before = "tok_error_then_success"
    failing_after = "tok_error_after_charge"
    silent = "tok_timeout_then_success"
    patience_seconds = 3.0  # An answer comes within it also where the machine is busy.

    def __init__(self, provider: Provider, vanish: Callable[[], None]) -> None:
        self.provider = provider
        self._vanish = vanish

    def vanish(self) -> None:
        self._vanish()

    def webhook(self, key: str, reference: str) -> bytes:
        operation = Operation(key=key, kind="charge", reference=reference, outcome="succeeded", amount=1000)
        return msgspec.json.encode(
            WebhookBody(type="charge.succeeded", timestamp="2026-01-02T03:04:05.678Z", data=operation)
        )


@asynccontextmanager
async def in_process(folder: Path, _running: Running) -> AsyncIterator[Kit]:
    """The simulator in the service's own process."""
    database = open_database(DatabaseUrl("sqlite", path=folder / "books.db"), clock=system_clock, exclusive=False)
    make_books(database)
    gone = asyncio.Event()

    def begin() -> AbstractContextManager[Transaction]:
        if gone.is_set():
            raise OperationalError("", None, _full_disk())
        return database.write()

    books = threaded_batcher(begin, name="books", queue_limit=1000, batch_limit=64, chance=system_chance)
    await books.start()
    try:
        yield SimulatorKit(Simulator(books, latency_ms=0, webhook_secret=SECRET), gone.set)
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
    connector = SimulatorConnector(
        ConnectorSettings(
            url=simulator_url(simulator), timeout_seconds=SimulatorKit.patience_seconds, webhook_secret=SECRET
        ),
        clock=system_clock,
    )
    try:
        yield SimulatorKit(connector, simulator.kill)
    finally:
        await connector.close()


KITS: Final = {"in process": in_process, "over HTTP": over_http}
