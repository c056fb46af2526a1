"""The worker: claims due attempts, asks providers with bounded concurrency, records what it learned.

No transaction is open while a provider is asked. A worker that dies leaves leases behind; when they are over, whoever
claims the attempts asks the provider about their keys before sending anything.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import msgspec
import structlog

from paidonce import ids
from paidonce.checkouts.actions import expire_checkouts
from paidonce.checkouts.model import Checkout
from paidonce.clock import Clock, Instant
from paidonce.database.batcher import Batcher
from paidonce.errors import DatabaseUnavailable, Overloaded
from paidonce.idempotency.actions import delete_expired_keys, with_idempotency
from paidonce.idempotency.model import AlreadyProcessed, Idempotency
from paidonce.ids import Chance
from paidonce.payments.capture import VoidExpired, void_expired
from paidonce.payments.circuit_breaker import Gate
from paidonce.payments.model import Attempt, LookupSchedule
from paidonce.payments.pay import Repeated, Started, StartOutcome
from paidonce.payments.provider_calls import Asker
from paidonce.payments.settle import (
    ClaimAttempts,
    RecordEvidence,
    Settled,
    claim_attempts,
    record_evidence,
    release_all_attempts,
    release_attempts,
)
from paidonce.payments.store import Held
from paidonce.providers.base import Provider

log = structlog.get_logger()

CLAIM_MAX: Final = 256  # One statement's worth: more would keep others from the database for too long.
EXPIRE_MAX: Final = 500
FORGET_MAX: Final = 500
FORGET_EVERY_MS: Final = 60_000  # Keys are kept for weeks: a minute more is nothing.


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker works; see the settings of the same names."""

    lease_seconds: float
    provider_timeout_seconds: float
    provider_concurrency: int
    poll_seconds: float
    schedule: LookupSchedule


class Startable(Protocol):
    """A request that commits an attempt; ``lease_ms`` says whether it is born in this process's hands."""

    @property
    def lease_ms(self) -> int:
        """The lease, in milliseconds; 0 where a worker is to claim the attempt."""
        ...


Request = TypeVar("Request", bound=Startable)


class Worker:
    """Attempts in the hands of this process. ``settled`` is called with the id of each checkout that changed, and with
    the checkout itself where it is known as it was committed.
    """

    def __init__(
        self,
        writer: Batcher,
        providers: Mapping[str, Provider],
        settings: WorkerSettings,
        *,
        clock: Clock,
        chance: Chance,
        settled: Callable[[str, Checkout | None], None],
    ) -> None:
        self._writer = writer
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._settled = settled
        self._asker = Asker(providers, timeout_seconds=settings.provider_timeout_seconds, clock=clock)
        self._gates = {name: Gate(settings.provider_concurrency, clock=clock, chance=chance) for name in providers}
        self._lease_ms = round(settings.lease_seconds * 1000)
        self._tasks: dict[asyncio.Task[None], Attempt] = {}
        self._loop_task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._stopping = False
        self._forget_at: Instant = 0

    async def start(self, *, alone: bool) -> None:
        """Begin to work. ``alone``: no other process can have leases, so those that are found are dead ones'."""
        if alone:
            await self._writer.submit(release_all_attempts, None)
        self._loop_task = asyncio.create_task(self._work())

    async def stop(self, *, grace_seconds: float) -> None:
        """Claim nothing more, wait for what is in flight, then give back the leases of what is not done."""
        self._stopping = True
        self._wake.set()
        if self._loop_task is not None:
            await self._loop_task  # Not cancelled: a claim that is being committed must come to somebody's hands.
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_seconds)
        left = dict(self._tasks)
        for task in left:
            task.cancel()
        if left:
            await asyncio.gather(*left, return_exceptions=True)
            log.info("leases_given_back", attempts=len(left))
            held = [Held(attempt.id, attempt.merchant_id, attempt.fence) for attempt in left.values()]
            try:
                await self._writer.submit(release_attempts, held)
            except DatabaseUnavailable:
                log.warning("leases_left_to_lapse", attempts=len(left))

    async def begin(
        self,
        action: Callable[[Any, Sequence[Request]], Sequence[StartOutcome]],
        request: Request,
        provider: str,
        *,
        idempotency: Idempotency | None = None,
    ) -> Started | Repeated | AlreadyProcessed:
        """Commit an attempt by ``action`` and, where a place is free, call the provider at once: no claim is needed.

        ``idempotency`` says how the request takes effect once; then the outcome may be that it was answered before.
        """
        gate = self._gates.get(provider)
        working = self._loop_task is not None and not self._stopping
        taken = gate is not None and working and gate.take()
        has_begun = False
        try:
            leased = msgspec.structs.replace(request, lease_ms=self._lease_ms if taken else 0)  # type: ignore[type-var]
            outcome: Started | Repeated | AlreadyProcessed = await self._writer.submit(
                *with_idempotency(idempotency, action, leased)
            )
            has_begun = isinstance(outcome, Started)
        finally:
            if taken and gate is not None and not has_begun:
                gate.give_back()
        if isinstance(outcome, Started):
            if taken:
                self._attend(outcome.attempt, outcome.checkout)
            else:
                self._wake.set()
        return outcome

    async def _work(self) -> None:
        while not self._stopping:
            claimed = 0
            try:
                for name in self._gates:
                    claimed = max(claimed, await self._do(partial(self._claim, name)))
                for step in (self._expire, self._void, self._forget):
                    await self._do(step)
            except (DatabaseUnavailable, Overloaded) as error:
                log.warning("worker_waits", cause=error.code)
            if claimed < CLAIM_MAX:
                await self._pause()

    async def _do(self, step: Callable[[], Awaitable[int]]) -> int:
        """Do one thing of several; a defect in it does not keep the others from being done."""
        try:
            return await step()
        except (DatabaseUnavailable, Overloaded):
            raise
        except Exception:
            log.exception("worker_failed")
        return 0

    async def _claim(self, provider: str) -> int:
        """Claim for a provider as much as it has places for; returns how much that was."""
        gate = self._gates[provider]
        places = gate.take_up_to(CLAIM_MAX)
        if not places:
            return 0
        attempts: list[Attempt] = []
        try:
            attempts = await self._writer.submit(claim_attempts, ClaimAttempts(provider, places, self._lease_ms))
        finally:
            gate.give_back(places - len(attempts))
        for attempt in attempts:
            self._attend(attempt)
        return len(attempts)

    async def _expire(self) -> int:
        expired = await self._writer.submit(expire_checkouts, EXPIRE_MAX)
        for checkout_id in expired:
            self._settled(checkout_id, None)
        return len(expired)

    async def _void(self) -> int:
        started = await self._writer.submit(void_expired, VoidExpired(EXPIRE_MAX, ids.new_id))
        if started:
            self._wake.set()
        return started

    async def _forget(self) -> int:
        """Forget keys that need be kept no longer, a batch at a time: what else is due comes in between."""
        now = self._clock()
        if now >= self._forget_at:
            forgotten = await self._writer.submit(delete_expired_keys, FORGET_MAX)
            self._forget_at = now if forgotten == FORGET_MAX else now + FORGET_EVERY_MS
            return forgotten
        return 0

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), self._settings.poll_seconds)
        except TimeoutError:
            return
        self._wake.clear()

    def _attend(self, attempt: Attempt, checkout: Checkout | None = None) -> None:
        task = asyncio.create_task(self._settle(attempt, checkout))
        self._tasks[task] = attempt
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        attempt = self._tasks.pop(task)
        self._gates[attempt.provider].give_back()
        if not task.cancelled() and task.exception() is not None:
            log.error("attempt_left_to_its_lease", attempt_id=attempt.id, exc_info=task.exception())

    async def _settle(self, attempt: Attempt, checkout: Checkout | None) -> None:
        evidence, cause = await self._asker.ask(attempt)
        self._gates[attempt.provider].heard(evidence)
        request = RecordEvidence(
            attempt_id=attempt.id,
            evidence=evidence,
            cause=cause,
            schedule=self._settings.schedule,
            chance=self._chance(),
            fence=attempt.fence,
            attempt=attempt,
            checkout=checkout,
        )
        while (settled := await self._recorded(request)) is None:
            if attempt.due_at is None or self._clock() >= attempt.due_at:
                return  # The lease is over: whoever claims the attempt asks the provider again.
            await asyncio.sleep(self._settings.poll_seconds * (0.5 + self._chance()))
        self._settled(attempt.checkout_id, settled.checkout)

    async def _recorded(self, request: RecordEvidence) -> Settled | None:
        try:
            return await self._writer.submit(record_evidence, request)
        except (DatabaseUnavailable, Overloaded):
            return None
