"""The payment worker: it calls providers for due attempts and records the evidence, and does what is due by time.

Each provider has a leased worker of its own (``attempt_queue.py``), with a circuit breaker: an outage of one provider
does not slow down the others. A worker that takes over an attempt asks the provider about its key before it sends
anything.
"""

import asyncio
from typing import Protocol, TypeVar

import msgspec

from paidonce.checkouts.actions import load_checkouts
from paidonce.checkouts.model import Checkout, ProviderRoute
from paidonce.clock import Clock
from paidonce.database.batch import Action, CommitNotice
from paidonce.database.batcher import Batcher
from paidonce.database.schema import attempt as attempt_table
from paidonce.idempotency.actions import with_idempotency
from paidonce.idempotency.model import AlreadyProcessed, Idempotency
from paidonce.ids import Chance
from paidonce.jobs.leased_worker import LeasedWorker
from paidonce.jobs.poller import IDLE_FACTOR, Poller
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.attempt_queue import AttemptQueue, ClaimedAttempt, SettledListener, WorkerSettings
from paidonce.payments.circuit_breakers import NO_ACCOUNT, CircuitBreakers
from paidonce.payments.claiming import find_due_providers, release_all_attempts
from paidonce.payments.expiry import ExpiryPollers
from paidonce.payments.model import Attempt, AttemptStatus
from paidonce.payments.pay import Repeated, Started, StartOutcome
from paidonce.payments.provider_calls import ProviderCaller
from paidonce.payments.providers import PaymentProviders
from paidonce.payments.sessions import (
    ChargeSession,
    commit_charged_sessions,
    find_returning,
    resume_attempts,
)
from paidonce.payments.settle import RecordEvidence


class Startable(Protocol):
    """A request that commits an attempt. ``lease_ms`` says for how long the attempt is leased to this process."""

    @property
    def lease_ms(self) -> int:
        """The lease, in milliseconds; 0 where a worker is to claim the attempt."""
        ...


Request = TypeVar("Request", bound=Startable)


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
