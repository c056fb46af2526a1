"""The payment worker: it calls providers for due attempts and records the evidence, and does what is due by time.

Each provider has a leased worker of its own, with a circuit breaker: an outage of one provider does not slow down the
others. A worker that takes over an attempt asks the provider about its key before it sends anything.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeAlias, TypeVar

import msgspec

from paidonce.checkouts.model import Checkout
from paidonce.clock import Clock, Instant
from paidonce.database.batch import Action
from paidonce.database.batcher import Batcher
from paidonce.idempotency.actions import with_idempotency
from paidonce.idempotency.model import AlreadyProcessed, Idempotency
from paidonce.ids import Chance
from paidonce.jobs.leased_worker import LeasedWorker, NextClaim
from paidonce.payments.circuit_breaker import CircuitBreaker
from paidonce.payments.expiry import ExpiryPollers
from paidonce.payments.model import Attempt, LookupSchedule
from paidonce.payments.pay import Repeated, Started, StartOutcome
from paidonce.payments.provider_calls import ProviderCaller
from paidonce.payments.settle import (
    ClaimAttempts,
    RecordEvidence,
    claim_attempts,
    record_evidence,
    release_all_attempts,
    release_attempts,
)
from paidonce.payments.store import Held
from paidonce.providers.base import Provider

CLAIM_MAX: Final = 256  # Attempts in one statement: more would keep others from the database for too long.

SettledListener: TypeAlias = Callable[[str, Checkout | None], None]
"""Called with the id of each checkout that changed, and with the checkout as it was committed where that is known."""


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker works; see the settings of the same names."""

    lease_seconds: float
    provider_timeout_seconds: float
    provider_concurrency: int
    poll_seconds: float
    schedule: LookupSchedule

    @property
    def lease_ms(self) -> int:
        """The lease, in milliseconds."""
        return round(self.lease_seconds * 1000)


class Startable(Protocol):
    """A request that commits an attempt. ``lease_ms`` says for how long the attempt is leased to this process."""

    @property
    def lease_ms(self) -> int:
        """The lease, in milliseconds; 0 where a worker is to claim the attempt."""
        ...


Request = TypeVar("Request", bound=Startable)


class ClaimedAttempt(msgspec.Struct, frozen=True):
    """An attempt that is leased to this process, and its checkout where that is known as of the attempt's start."""

    attempt: Attempt
    checkout: Checkout | None = None


class AttemptQueue:
    """The due attempts of one provider, for a leased worker. The result of an attempt is the evidence about it."""

    def __init__(
        self,
        provider: str,
        circuit_breaker: CircuitBreaker,
        caller: ProviderCaller,
        writer: Batcher,
        settings: WorkerSettings,
        *,
        chance: Chance,
        settled: SettledListener,
    ) -> None:
        self._provider = provider
        self._circuit_breaker = circuit_breaker
        self._caller = caller
        self._writer = writer
        self._settings = settings
        self._chance = chance
        self._settled = settled

    async def claim(self, run: Callable[[ClaimedAttempt], None]) -> NextClaim:
        """Claim as many attempts as the circuit breaker permits."""
        permitted = self._circuit_breaker.acquire_up_to(CLAIM_MAX)
        if not permitted:
            return NextClaim.WHEN_A_PLACE_IS_FREE
        attempts: list[Attempt] = []
        try:
            request = ClaimAttempts(self._provider, permitted, self._settings.lease_ms)
            attempts = await self._writer.submit(claim_attempts, request)
        finally:
            self._circuit_breaker.release(permitted - len(attempts))
        for attempt in attempts:
            run(ClaimedAttempt(attempt))
        if len(attempts) < permitted:
            return NextClaim.AT_THE_NEXT_POLL  # No more are due.
        return NextClaim.AT_ONCE if permitted == CLAIM_MAX else NextClaim.WHEN_A_PLACE_IS_FREE

    def id_of(self, job: ClaimedAttempt) -> str:
        """Return the id of the attempt."""
        return job.attempt.id

    def lease_ends_at(self, job: ClaimedAttempt) -> Instant:
        """Return when the lease ends: that is when a leased attempt is due."""
        assert job.attempt.due_at is not None, "a leased attempt is due when its lease ends"
        return job.attempt.due_at

    async def run(self, job: ClaimedAttempt) -> RecordEvidence:
        """Call the provider."""
        evidence, cause = await self._caller.call(job.attempt)
        self._circuit_breaker.record(evidence)
        return RecordEvidence(
            attempt_id=job.attempt.id,
            evidence=evidence,
            cause=cause,
            schedule=self._settings.schedule,
            chance=self._chance(),
            fence=job.attempt.fence,
            attempt=job.attempt,
        )

    async def record(self, job: ClaimedAttempt, result: RecordEvidence) -> None:
        """Record the evidence, and notify the clients that wait for the checkout."""
        settled = await self._writer.submit(record_evidence, result)
        self._settled(job.attempt.checkout_id, settled.apply_to(job.checkout, job.attempt) if job.checkout else None)

    def job_ended(self, job: ClaimedAttempt) -> None:  # noqa: ARG002 - all attempts of a provider are alike
        """Permit another call."""
        self._circuit_breaker.release()

    async def release(self, jobs: Sequence[ClaimedAttempt]) -> None:
        """End leases, so that another worker need not wait for their end."""
        held = [Held(job.attempt.id, job.attempt.merchant_id, job.attempt.fence) for job in jobs]
        await self._writer.submit(release_attempts, held)


class PaymentWorker:
    """The attempts of all providers in this process, and the pollers that expire checkouts and idempotency keys."""

    def __init__(
        self,
        writer: Batcher,
        providers: Mapping[str, Provider],
        settings: WorkerSettings,
        *,
        clock: Clock,
        chance: Chance,
        settled: SettledListener,
    ) -> None:
        self._writer = writer
        self._settings = settings
        self._circuit_breakers: dict[str, CircuitBreaker] = {}
        self._workers: dict[str, LeasedWorker[ClaimedAttempt, RecordEvidence]] = {}
        caller = ProviderCaller(providers, timeout_seconds=settings.provider_timeout_seconds, clock=clock)
        for name in providers:
            breaker = CircuitBreaker(settings.provider_concurrency, clock=clock, chance=chance)
            queue = AttemptQueue(name, breaker, caller, writer, settings, chance=chance, settled=settled)
            self._circuit_breakers[name] = breaker
            self._workers[name] = LeasedWorker(
                f"attempts at {name}", queue, poll_seconds=settings.poll_seconds, clock=clock, chance=chance
            )
        self._expiry = ExpiryPollers(
            writer,
            poll_seconds=settings.poll_seconds,
            clock=clock,
            expired=lambda checkout_id: settled(checkout_id, None),
            voids_started=self._wake,
        )

    async def start(self, *, alone: bool) -> None:
        """Start to claim. ``alone``: no other process can hold a lease, so all leases are those of dead processes."""
        if alone:
            await self._writer.submit(release_all_attempts, None)
        for worker in self._workers.values():
            worker.start()
        self._expiry.start()

    async def stop(self, *, grace_seconds: float) -> None:
        """Claim nothing more, wait for the running calls, then release the leases of those that have not ended."""
        await asyncio.gather(
            self._expiry.stop(), *(worker.stop(grace_seconds=grace_seconds) for worker in self._workers.values())
        )

    async def begin(
        self,
        action: Action[Request, StartOutcome],
        request: Request,
        provider: str,
        *,
        idempotency: Idempotency | None = None,
    ) -> Started | Repeated | AlreadyProcessed:
        """Commit an attempt by ``action``. Where the circuit breaker permits it, call the provider at once: no claim is
        needed.

        ``idempotency`` says how the request takes effect once; then the outcome may be that it was processed before.
        """
        worker = self._workers.get(provider)
        is_leased = worker is not None and worker.is_running and self._circuit_breakers[provider].acquire()
        is_started = False
        try:
            lease_ms = self._settings.lease_ms if is_leased else 0
            leased = msgspec.structs.replace(request, lease_ms=lease_ms)  # type: ignore[type-var] # all are structs
            outcome: Started | Repeated | AlreadyProcessed = await self._writer.submit(
                *with_idempotency(idempotency, action, leased)
            )
            is_started = isinstance(outcome, Started)
        finally:
            if worker is not None and is_leased and not is_started:
                self._circuit_breakers[provider].release()
                worker.place_freed()
        if isinstance(outcome, Started) and worker is not None:
            if is_leased:
                worker.run(ClaimedAttempt(outcome.attempt, outcome.checkout))
            else:
                worker.wake()
        return outcome

    def _wake(self) -> None:
        for worker in self._workers.values():
            worker.wake()
