"""A simulated provider with its own books, in this process, whose clock stands still until a test moves it."""

from pathlib import Path
from typing import Any, Final

from paidonce.clock import Instant
from paidonce.database.batcher import threaded_batcher
from paidonce.database.engine import Database, open_database
from paidonce.database_url import DatabaseUrl
from paidonce.ids import system_chance
from paidonce.providers.simulator.books import make_books
from paidonce.providers.simulator.calls import Rules, SendWebhook
from paidonce.providers.simulator.faults import WebhookDraw, WebhookFault
from paidonce.providers.simulator.simulation import Simulation
from paidonce.providers.simulator.wire import Announced

NOW: Final = 1_700_000_000_000


class InlineBooks:
    """Books without a thread, for a loop whose time is virtual."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def submit(self, action: Any, request: Any) -> Any:  # noqa: ANN401 - as a batcher's
        with self._database.write() as transaction:
            return action(transaction, [request])[0]


class SimulatedProvider:
    """The books, and the webhooks that were sent: ``told`` holds their outcomes and faults, ``sent`` the operations."""

    def __init__(self, path: Path) -> None:
        self.now: Instant = NOW
        self.told: list[tuple[str, WebhookFault]] = []
        self.sent: list[Announced] = []
        self.database = open_database(DatabaseUrl("sqlite", path=path), clock=self.clock, exclusive=False)
        make_books(self.database)
        self.books = threaded_batcher(
            self.database.write, name="books", queue_limit=1000, batch_limit=64, chance=system_chance
        )

    def run_inline(self) -> None:
        """Write to the books without a thread, which is never started."""
        self.books = InlineBooks(self.database)  # type: ignore[assignment]

    def clock(self) -> Instant:
        return self.now

    def simulation(self, rules: Rules, send_webhook: SendWebhook | None = None) -> Simulation:
        async def remember(operation: Announced, draw: WebhookDraw) -> None:
            self.told.append((operation.outcome, draw.webhook_fault))
            self.sent.append(operation)

        return Simulation(self.books, rules, clock=self.clock, send_webhook=send_webhook or remember)

    async def close(self) -> None:
        await self.books.stop()
        self.database.close()
