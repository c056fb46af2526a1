"""The due attempts of one provider, as a leased worker claims, runs and records them."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec

from paidonce.checkouts.model import Checkout
from paidonce.clock import Instant
from paidonce.database.batcher import Batcher
from paidonce.events.model import Cause
from paidonce.ids import Chance
from paidonce.jobs.leased_worker import NextClaim
from paidonce.payments.circuit_breakers import NO_ACCOUNT, CircuitBreakers
from paidonce.payments.claim_store import Held
from paidonce.payments.claiming import ClaimAttempts, claim_attempts, release_attempts
from paidonce.payments.model import Attempt
from paidonce.payments.provider_calls import Called, ProviderCaller
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.settle import RecordEvidence, record_evidence
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
