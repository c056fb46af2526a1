"""A worker on a real database with a virtual clock and a scripted provider: repeatable and fast."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy.exc import OperationalError

from paidonce.checkouts.model import Checkout, ProviderRoute
from paidonce.database.batch import BatchResult, BatchRunner, Job
from paidonce.database.batcher import Batcher
from paidonce.database.transaction import Transaction
from paidonce.idempotency.model import AlreadyProcessed, Idempotency
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.attempt_queue import WorkerSettings
from paidonce.payments.pay import Repeated, Started, start_payments
from paidonce.payments.providers import PaymentProviders
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.worker import PaymentWorker
from tests.proof.fake_provider import FakeOutcome, FakeProvider
from tests.proof.virtual_time import VirtualLoop, run
from tests.support.payments import Payments, payment

POLL_SECONDS: Final = 5.0
LEASE_SECONDS: Final = 30.0
TIMEOUT_SECONDS: Final = 20.0
END_SECONDS_MAX: Final = 600.0  # Of the virtual clock: twenty leases.


class LoopExecutor:
    """Runs each job in the event loop, as a batch of one."""

    pid: int | None = None

    def __init__(self, batches: BatchRunner) -> None:
        self._batches = batches
        self._done: Callable[[BatchResult], None] = lambda _done: None

    async def start(self, done: Callable[[BatchResult], None]) -> None:
        self._done = done

    def execute(self, job: Job) -> None:
        asyncio.get_running_loop().call_soon(lambda: self._done(self._batches.run([job])))

    async def stop(self) -> None:
        pass


class WorkerHarness:
    """A worker and what is around it. While ``disk_is_full``, nothing can be written; ``defects`` are raised, one each
    time, by what the worker tells that a checkout is settled.
    """

    def __init__(self, database_url: str, loop: VirtualLoop, *, concurrency: int, poll_seconds: float) -> None:
        self.loop = loop
        self.payments = Payments(database_url, clock=loop.clock)
        self.outcomes: deque[FakeOutcome] = deque()
        self.answer_seconds = 0.0
        self.provider = FakeProvider(
            loop.clock,
            lambda: self.outcomes.popleft() if self.outcomes else FakeOutcome.WELL,
            latency=lambda: self.answer_seconds / 2,
        )
        self.providers = PaymentProviders({self.provider.name: self.provider})
        self.settled: list[tuple[str, Checkout | None]] = []
        self.defects: list[Exception] = []
        self.disk_is_full = False
        self.refused = 0
        batches = BatchRunner(self._begin, limit=99, chance=lambda: 0.5)
        self.writer = Batcher(LoopExecutor(batches), limit=999)
        self.settings = WorkerSettings(
            lease_seconds=LEASE_SECONDS,
            provider_timeout_seconds=TIMEOUT_SECONDS,
            provider_concurrency=concurrency,
            poll_seconds=poll_seconds,
            schedule=LookupSchedule(),
        )
        self.worker = self.another_worker()

    def another_worker(self) -> PaymentWorker:
        return PaymentWorker(
            self.writer,
            self.writer,
            self.providers,
            self.settings,
            clock=self.loop.clock,
            chance=lambda: 0.5,
            settled=self.note_settled,
        )

    def note_settled(self, checkout_id: str, checkout: Checkout | None) -> None:
        if self.defects:
            raise self.defects.pop()
        self.settled.append((checkout_id, checkout))

    @contextmanager
    def _begin(self) -> Iterator[Transaction]:
        if self.disk_is_full:
            self.refused += 1
            raise OperationalError("", None, _full_disk())
        with self.payments.database.write() as transaction:
            yield transaction

    async def pay(
        self,
        checkout: TenantScopedId,
        attempt_id: str,
        *,
        provider: str = "simulator",
        idempotency: Idempotency | None = None,
    ) -> Started | Repeated | AlreadyProcessed:
        """Pay as the HTTP API does."""
        route = ProviderRoute(provider)
        command = payment(checkout, attempt_id, provider=provider)
        return await self.worker.begin(start_payments, command, route, idempotency=idempotency)

    async def until(self, condition: Callable[[], object]) -> None:
        """Advance the virtual clock until a condition is true."""
        while not condition():
            assert self.loop.time() < END_SECONDS_MAX, "this does not come true"
            await asyncio.sleep(0.25)


def _full_disk() -> Exception:
    error = Exception("disk full")
    error.sqlite_errorcode = 13  # type: ignore[attr-defined]
    return error


def run_with_worker(
    database_url: str,
    story: Callable[[WorkerHarness], Coroutine[Any, Any, None]],
    *,
    concurrency: int = 10,
    poll_seconds: float = POLL_SECONDS,
) -> None:
    """Run a scenario on a virtual clock. The worker is stopped at the end, if it was started."""

    async def tell(loop: VirtualLoop) -> None:
        place = WorkerHarness(database_url, loop, concurrency=concurrency, poll_seconds=poll_seconds)
        await place.writer.start()
        try:
            await story(place)
            await place.worker.stop(grace_seconds=60)
        finally:
            place.payments.database.close()

    run(tell)
