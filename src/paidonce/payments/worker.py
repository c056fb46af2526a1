"""The payment worker: it calls providers for due attempts and records the evidence, and does what is due by time.

Each provider has a leased worker of its own, with a circuit breaker: an outage of one provider does not slow down the
others. A worker that takes over an attempt asks the provider about its key before it sends anything.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias, TypeVar

import msgspec

from paidonce.checkouts.actions import load_checkouts
from paidonce.checkouts.model import Checkout, ProviderRoute
from paidonce.clock import Clock, Instant
from paidonce.database.batch import Action, CommitNotice
from paidonce.database.batcher import Batcher
from paidonce.database.schema import attempt as attempt_table
from paidonce.events.model import Cause
from paidonce.idempotency.actions import with_idempotency
from paidonce.idempotency.model import AlreadyProcessed, Idempotency
from paidonce.ids import Chance
from paidonce.jobs.leased_worker import LeasedWorker, NextClaim
from paidonce.jobs.poller import IDLE_FACTOR, Poller
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.circuit_breakers import NO_ACCOUNT, CircuitBreakers
from paidonce.payments.claiming import (
    ClaimAttempts,
    claim_attempts,
    find_due_providers,
    release_all_attempts,
    release_attempts,
)
from paidonce.payments.expiry import ExpiryPollers
from paidonce.payments.model import Attempt, AttemptStatus
from paidonce.payments.pay import Repeated, Started, StartOutcome
from paidonce.payments.provider_calls import Called, ProviderCaller
from paidonce.payments.providers import PaymentProviders
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.sessions import (
    ChargeSession,
    commit_charged_sessions,
    find_returning,
    resume_attempts,
)
from paidonce.payments.settle import RecordEvidence, record_evidence
from paidonce.payments.store import Held
from paidonce.providers.evidence import NotDone

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


CIRCUIT_OPEN: Final = NotDone("calls of this account are paused because they failed; nothing was sent", retryable=True)


class ClaimedAttempt(msgspec.Struct, frozen=True):
    """An attempt that is leased to this process, and its checkout where that is known as of the attempt's start.

    An attempt that ``is_held_back`` is not sent, because its account is unhealthy: it continues with another one.
    """

    attempt: Attempt
    checkout: Checkout | None = None
    is_held_back: bool = False


class AttemptQueue:
    """The due attempts of one provider, for a leased worker. The result of an attempt is the evidence about it."""

    def __init__(
        self,
        provider: str,
        circuit_breakers: CircuitBreakers,
        caller: ProviderCaller,
        writer: Batcher,
        settings: WorkerSettings,
        *,
        chance: Chance,
        settled: SettledListener,
    ) -> None:
        self._provider = provider
        self._circuit_breakers = circuit_breakers
        self._caller = caller
        self._writer = writer
        self._settings = settings
        self._chance = chance
        self._settled = settled

    async def claim(self, run: Callable[[ClaimedAttempt], None]) -> NextClaim:
        """Claim as many attempts as there are places, and as the circuit breakers of their accounts permit."""
        await self._hold_back(run)
        places = self._circuit_breakers.take_places(CLAIM_MAX)
        if not places:
            return NextClaim.WHEN_A_PLACE_IS_FREE
        admitted: list[Attempt] = []
        try:
            claimed = await self._claim(places)
            admitted = [one for one in claimed if self._circuit_breakers.admit(one.account_id or NO_ACCOUNT)]
        finally:
            self._circuit_breakers.free_places(places - len(admitted))
        for attempt in admitted:
            run(ClaimedAttempt(attempt))
        if len(admitted) < len(claimed):  # One account has more due than it may have under way.
            kept = {attempt.id for attempt in admitted}
            await self.release([ClaimedAttempt(one) for one in claimed if one.id not in kept])
        if len(admitted) < places:
            return NextClaim.AT_THE_NEXT_POLL  # No more are due.
        return NextClaim.AT_ONCE if places == CLAIM_MAX else NextClaim.WHEN_A_PLACE_IS_FREE

    async def _hold_back(self, run: Callable[[ClaimedAttempt], None]) -> None:
        """Claim what was never sent to accounts that are unhealthy, and can continue with another account."""
        paused = self._circuit_breakers.paused
        places = self._circuit_breakers.take_places(CLAIM_MAX) if paused else 0
        if not places:
            return
        claimed: list[Attempt] = []
        try:
            request = ClaimAttempts(self._provider, places, self._settings.lease_ms, unsent_of=paused)
            claimed = await self._writer.submit(claim_attempts, request)
        finally:
            self._circuit_breakers.free_places(places - len(claimed))
        for attempt in claimed:
            run(ClaimedAttempt(attempt, is_held_back=True))

    async def _claim(self, places: int) -> list[Attempt]:
        """Claim due attempts. Of an account whose circuit breaker is half-open only one is claimed, to try it."""
        lease_ms, blocked = self._settings.lease_ms, self._circuit_breakers.blocked
        trials = self._circuit_breakers.to_try[:places] if blocked else ()
        requests = [ClaimAttempts(self._provider, 1, lease_ms, only=account) for account in trials]
        if len(trials) < places:
            requests.append(ClaimAttempts(self._provider, places - len(trials), lease_ms, except_for=blocked))
        claims = await asyncio.gather(*(self._writer.submit(claim_attempts, one) for one in requests))
        return [attempt for claimed in claims for attempt in claimed]

    def id_of(self, job: ClaimedAttempt) -> str:
        """Return the id of the attempt."""
        return job.attempt.id

    def lease_ends_at(self, job: ClaimedAttempt) -> Instant:
        """Return when the lease ends: that is when a leased attempt is due."""
        assert job.attempt.due_at is not None, "a leased attempt is due when its lease ends"
        return job.attempt.due_at

    async def run(self, job: ClaimedAttempt) -> RecordEvidence:
        """Call the provider."""
        if job.is_held_back:
            called = Called(job.attempt, CIRCUIT_OPEN, Cause.PROVIDER_ANSWER)
        else:
            called = await self._caller.call(job.attempt)
            self._circuit_breakers.record(job.attempt.account_id or NO_ACCOUNT, called.evidence)
        return RecordEvidence(
            attempt_id=job.attempt.id,
            evidence=called.evidence,
            cause=called.cause,
            schedule=self._settings.schedule,
            chance=self._chance(),
            fence=job.attempt.fence,
            attempt=called.attempt,
        )

    async def record(self, job: ClaimedAttempt, result: RecordEvidence) -> None:
        """Record the evidence, and notify the clients that wait for the checkout."""
        settled = await self._writer.submit(record_evidence, result)
        recorded = result.attempt or job.attempt
        self._settled(recorded.checkout_id, settled.apply_to(job.checkout, recorded) if job.checkout else None)

    def job_ended(self, job: ClaimedAttempt) -> None:
        """Permit another call."""
        if job.is_held_back:
            self._circuit_breakers.free_places(1)
        else:
            self._circuit_breakers.end(job.attempt.account_id or NO_ACCOUNT)

    async def release(self, jobs: Sequence[ClaimedAttempt]) -> None:
        """End leases, so that another worker need not wait for their end."""
        held = [Held(job.attempt.id, job.attempt.merchant_id, job.attempt.fence) for job in jobs]
        await self._writer.submit(release_attempts, held)


class PaymentWorker:
    """The attempts of all providers in this process, and the pollers that expire checkouts and idempotency keys."""

    def __init__(
        self,
        writer: Batcher,
        reader: Batcher,
        providers: PaymentProviders,
        settings: WorkerSettings,
        *,
        clock: Clock,
        chance: Chance,
        settled: SettledListener,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._settings = settings
        self._clock = clock
        self._circuit_breakers: dict[str, CircuitBreakers] = {}
        self._workers: dict[str, LeasedWorker[ClaimedAttempt, RecordEvidence]] = {}
        caller = ProviderCaller(
            providers.find,
            timeout_seconds=settings.provider_timeout_seconds,
            clock=clock,
            commit_session=self._commit_session,
            load_checkout=self._load_checkout,
        )
        for name in providers.names:
            breakers = CircuitBreakers(settings.provider_concurrency, clock=clock, chance=chance)
            queue = AttemptQueue(name, breakers, caller, writer, settings, chance=chance, settled=settled)
            self._circuit_breakers[name] = breakers
            self._workers[name] = LeasedWorker(
                f"attempts at {name}",
                queue,
                poll_seconds=settings.poll_seconds,
                clock=clock,
                chance=chance,
                is_polling=False,
            )
        self._due = Poller(
            "due attempts",
            self._wake_due,
            poll_seconds=settings.poll_seconds,
            idle_seconds_max=settings.poll_seconds * IDLE_FACTOR,
        )
        self._expiry = ExpiryPollers(
            writer,
            poll_seconds=settings.poll_seconds,
            clock=clock,
            expired=lambda checkout_id: settled(checkout_id, None),
        )

    async def start(self, *, alone: bool) -> None:
        """Start to claim. ``alone``: no other process can hold a lease, so all leases are those of dead processes."""
        if alone:
            await self._writer.submit(release_all_attempts, None)
        for worker in self._workers.values():
            worker.start()
        self._writer.add_commit_listener(self._committed)
        self._reader.add_commit_listener(self._committed)
        self._due.start()
        self._expiry.start()

    async def stop(self, *, grace_seconds: float) -> None:
        """Claim nothing more, wait for the running calls, then release the leases of those that have not ended."""
        await asyncio.gather(
            self._due.stop(),
            self._expiry.stop(),
            *(worker.stop(grace_seconds=grace_seconds) for worker in self._workers.values()),
        )

    async def begin(
        self,
        action: Action[Request, StartOutcome],
        request: Request,
        route: ProviderRoute,
        *,
        idempotency: Idempotency | None = None,
    ) -> Started | Repeated | AlreadyProcessed:
        """Commit an attempt by ``action``. Where the circuit breaker permits it, call the provider at once: no claim is
        needed.

        ``idempotency`` says how the request takes effect once; then the outcome may be that it was processed before.
        """
        worker, account = self._workers.get(route.provider), route.account_id or NO_ACCOUNT
        is_leased = worker is not None and worker.is_running and self._circuit_breakers[route.provider].begin(account)
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
                self._circuit_breakers[route.provider].end(account)
                worker.place_freed()
        if isinstance(outcome, Started) and worker is not None and is_leased:
            worker.run(ClaimedAttempt(outcome.attempt, outcome.checkout))
        return outcome

    async def resume(self, return_token: str) -> TenantScopedId | None:
        """Ask the provider now whether the buyer has paid who comes back with this token; returns the id of their
        checkout, None where there is none.
        """
        attempt = await self._reader.submit(find_returning, return_token)
        if attempt is None:
            return None
        if attempt.status == AttemptStatus.REQUIRES_ACTION:
            await self._writer.submit(resume_attempts, attempt)
        return TenantScopedId(attempt.checkout_id, attempt.merchant_id)

    def _committed(self, notice: CommitNotice) -> None:
        """Have due attempts claimed when they are due."""
        for provider, at in notice.due_in(attempt_table).items():
            worker = self._workers.get(provider)
            seconds = (at - self._clock()) / 1000
            if worker is None or seconds > 0:
                self._due.wake_in(seconds)
            else:
                worker.wake()

    async def _commit_session(self, attempt: Attempt, reference: str) -> Attempt | None:
        return await self._writer.submit(commit_charged_sessions, ChargeSession(attempt, reference))

    async def _load_checkout(self, attempt: Attempt) -> Checkout:
        checkout = TenantScopedId(attempt.checkout_id, attempt.merchant_id)
        return await self._reader.submit(load_checkouts, checkout)

    async def _wake_due(self) -> float | None:
        """Wake the workers that have something to claim: what other processes left, and what became due by time. The
        read notes what will be due soon, and so has this run again then.
        """
        due = await self._reader.submit(find_due_providers, list(self._workers))
        for provider in due:
            self._workers[provider].wake()
        return self._settings.poll_seconds if due else None
