"""A deterministic simulation: the real worker, circuit breaker, provider caller and reducer, over rows in memory, on
a virtual clock, from a seed.
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, NamedTuple

import msgspec

from paidonce.checkouts.model import ProviderRoute
from paidonce.clock import Clock
from paidonce.payments.attempt_queue import WorkerSettings
from paidonce.payments.claiming import ClaimAttempts
from paidonce.payments.model import FINAL, Attempt
from paidonce.payments.pay import Started
from paidonce.payments.providers import PaymentProviders
from paidonce.payments.reducer import decide
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.settle import RecordEvidence, Settled
from paidonce.payments.worker import PaymentWorker
from paidonce.providers.base import Capabilities
from tests.proof.fake_provider import CAPABILITIES, FakeOutcome, FakeProvider
from tests.proof.virtual_time import VirtualLoop, run

LEASE_SECONDS: Final = 30.0
SETTINGS: Final = WorkerSettings(
    lease_seconds=LEASE_SECONDS,
    provider_timeout_seconds=20.0,
    provider_concurrency=200,
    poll_seconds=0.5,
    schedule=LookupSchedule(),
)
FAULTS_SECONDS: Final = 120  # How long workers are killed and the provider is faulty; then everything must end.
END_SECONDS_MAX: Final = 45 * 86_400  # In virtual time: unknown outcomes are looked up for a month.
CALM: Final = msgspec.structs.replace(
    SETTINGS, poll_seconds=600.0
)  # Rare polls, because the run takes a virtual month.
WORKERS: Final = 3


class Outcome(NamedTuple):
    """The result of a run, equal for equal seeds. ``wrong`` must be empty."""

    payments: int
    ends: Counter[str]
    kills: int
    calls: int
    seconds: float
    wrong: list[str]


class Start(msgspec.Struct, frozen=True):
    """A request to begin an attempt. With a lease, it is leased at once."""

    attempt: Attempt
    lease_ms: int = 0


def start(_transaction: Any, _requests: Sequence[Start]) -> Any:  # noqa: ANN401 - an action
    """A placeholder for an action that begins attempts, which the rows in memory recognize by name."""
    raise NotImplementedError


class Rows:
    """The table of attempts in memory, with the statements that a worker runs. It replaces the writer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.attempts: dict[str, Attempt] = {}
        self._due: list[tuple[int, str]] = []

    async def submit(self, action: Callable[..., Any], request: Any) -> Any:  # noqa: ANN401 - the batcher's
        await asyncio.sleep(0.001)  # A commit takes time, in which other tasks run.
        outcome = getattr(self, action.__name__)(request)
        await asyncio.sleep(0.001)  # So does the response. A worker that is killed here has committed.
        return outcome

    def add_commit_listener(self, _listener: object) -> None:
        """Notify nobody: everything is found by polling."""

    def put(self, attempt: Attempt) -> None:
        self.attempts[attempt.id] = attempt
        if attempt.due_at is not None:
            heapq.heappush(self._due, (attempt.due_at, attempt.id))

    def start(self, request: Start) -> Started:
        attempt = request.attempt
        if request.lease_ms:
            leased = {"status": "SENT", "fence": 1, "due_at": self._clock() + request.lease_ms}
            attempt = msgspec.structs.replace(attempt, **leased)
        self.put(attempt)
        return Started(None, attempt)  # type: ignore[arg-type]  # no checkout is asked for here

    def claim_attempts(self, request: ClaimAttempts) -> list[Attempt]:
        now = self._clock()
        claimed: list[Attempt] = []
        while self._due and self._due[0][0] <= now and len(claimed) < request.limit:
            due_at, attempt_id = heapq.heappop(self._due)
            attempt = self.attempts[attempt_id]
            if attempt.due_at == due_at:  # Otherwise it was settled or claimed since.
                status = "SENT" if attempt.status == "READY" else attempt.status
                taken = {"status": status, "fence": attempt.fence + 1, "due_at": now + request.lease_ms}
                claimed.append(msgspec.structs.replace(attempt, **taken))
                self.put(claimed[-1])
        return claimed

    def find_due_providers(self, providers: list[str]) -> set[str]:
        return set(providers) if self._due and self._due[0][0] <= self._clock() else set()

    def record_evidence(self, request: RecordEvidence) -> Settled:
        attempt, now = self.attempts[request.attempt_id], self._clock()
        if request.fence is not None and request.fence != attempt.fence:
            return Settled(attempt.checkout_id, attempt.status, None, now, was_unchanged=False)
        transition = decide(attempt, request.evidence, now=now, schedule=request.schedule, chance=request.chance)
        if transition is not None:
            ended = {"settled_at": now if transition.status in FINAL else None}
            fields = msgspec.structs.asdict(transition).items()
            written = {name: value for name, value in fields if name not in ("reason", "fallback")}
            self.put(msgspec.structs.replace(attempt, **{**written, **ended}))
        return Settled(attempt.checkout_id, attempt.status, transition, now, was_unchanged=False)

    def expire_checkouts(self, _limit: int) -> list[str]:
        return []

    def void_expired(self, _request: object) -> int:
        return 0

    def delete_expired_keys(self, _limit: int) -> int:
        return 0


def simulate(seed: int, *, payments: int, capabilities: Capabilities = CAPABILITIES) -> Outcome:
    """Run this many payments with workers that are killed and a faulty provider; then stop all faults."""
    return run(lambda loop: _simulate(loop, Random(seed), payments, capabilities))


async def _simulate(loop: VirtualLoop, chance: Random, payments: int, capabilities: Capabilities) -> Outcome:
    goings = list(FakeOutcome)

    def going() -> FakeOutcome:
        sick = loop.time() < FAULTS_SECONDS and chance.random() < 0.3
        return chance.choice(goings) if sick else FakeOutcome.WELL

    provider = FakeProvider(
        loop.clock, going, latency=lambda: chance.expovariate(2.0), capabilities=capabilities, hidden_ms=20_000
    )
    rows = Rows(loop.clock)
    workers = [await _start(rows, provider, loop, chance, SETTINGS) for _ in range(WORKERS)]
    kills = 0
    per_round = max(1, payments // FAULTS_SECONDS)
    while len(rows.attempts) < payments or loop.time() < FAULTS_SECONDS:
        for _ in range(min(per_round, payments - len(rows.attempts))):
            attempt = _new_attempt(len(rows.attempts), loop.clock())
            if chance.random() < 0.5:
                await chance.choice(workers).begin(start, Start(attempt), ProviderRoute(provider.name))
            else:
                rows.put(attempt)
        await asyncio.sleep(1)
        if chance.random() < 0.2:
            kills += 1
            number = chance.randrange(WORKERS)
            await _kill(workers[number])
            workers[number] = await _start(rows, provider, loop, chance, SETTINGS)
    for worker in workers:
        await _kill(worker)
    workers = [await _start(rows, provider, loop, chance, CALM)]
    while any(one.due_at is not None for one in rows.attempts.values()) and loop.time() < END_SECONDS_MAX:  # noqa: ASYNC110
        await asyncio.sleep(600)
    for worker in workers:
        await _kill(worker)
    ends = Counter(one.status for one in rows.attempts.values())
    wrong = _wrong(list(rows.attempts.values()), provider)
    return Outcome(len(rows.attempts), ends, kills, provider.calls, round(loop.time(), 3), wrong)


async def _start(
    rows: Rows, provider: FakeProvider, loop: VirtualLoop, chance: Random, settings: WorkerSettings
) -> PaymentWorker:
    worker = PaymentWorker(
        rows,  # type: ignore[arg-type]
        rows,  # type: ignore[arg-type]
        PaymentProviders({provider.name: provider}),
        settings,
        clock=loop.clock,
        chance=chance.random,
        settled=lambda *_: None,
    )
    await worker.start(alone=False)
    return worker


async def _kill(worker: PaymentWorker) -> None:
    """Kill a worker: nothing is recorded, and no lease is released."""
    pollers = [worker._due, *worker._expiry._pollers]  # noqa: SLF001 - from outside
    tasks: list[asyncio.Task[None] | None] = []
    for one in worker._workers.values():  # noqa: SLF001 - as above
        pollers.append(one._poller)  # noqa: SLF001 - as above
        tasks += one._tasks  # noqa: SLF001 - as above
    tasks += [poller._task for poller in pollers]  # noqa: SLF001 - as above
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def _new_attempt(number: int, now: int) -> Attempt:
    return Attempt(
        id=f"att_{number}",
        merchant_id="m",
        mode="test",
        checkout_id=f"chk_{number}",
        kind="CHARGE",
        status="READY",
        provider="simulator",
        provider_key=f"att_{number}",
        payment_method="tok_success",
        amount=1000,
        currency="USD",
        due_at=now,
        fence=0,
        lookup_count=0,
        provider_reference=None,
        decline_code=None,
        charge_reference=None,
        reason=None,
        created_at=now,
        updated_at=now,
        settled_at=None,
    )


def _wrong(attempts: Sequence[Attempt], provider: FakeProvider) -> list[str]:
    charged = Counter(one.checkout_id for one in provider.charges if one.status == "succeeded")
    booked = {one.key for one in provider.charges}
    wrong = [f"1. {checkout_id} is charged {times} times" for checkout_id, times in charged.items() if times > 1]
    for one in attempts:
        if one.status == "SUCCEEDED" and not charged[one.checkout_id]:
            wrong.append(f"3. {one.id} succeeded, and nothing is charged")
        if one.status == "DECLINED" and charged[one.checkout_id]:
            wrong.append(f"4. {one.id} was declined, and is charged")
        if one.due_at is not None:
            wrong.append(f"16. {one.id} is {one.status} still")
        if one.status == "NEEDS_REVIEW" and (
            one.provider_key in booked or provider.capabilities.charge.key_lifetime_seconds
        ):
            wrong.append(f"16. {one.id} needs a person, though it could be found out")
    return wrong
