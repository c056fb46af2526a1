"""The worker: claims due attempts, asks the provider with bounded concurrency, records what it learned.

No transaction is open while a provider is asked. A worker that dies leaves leases behind; when they are over, whoever
claims the attempts asks the provider about their keys before sending anything.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import structlog

from paidonce.checkouts.actions import expire_checkouts
from paidonce.clock import Clock
from paidonce.database.batcher import Batcher
from paidonce.errors import DatabaseUnavailable, Overloaded
from paidonce.events.model import Cause
from paidonce.ids import Chance
from paidonce.money import Money
from paidonce.payments.actions import (
    ClaimAttempts,
    PaymentReplayed,
    PaymentStarted,
    RecordEvidence,
    StartPayment,
    claim_attempts,
    record_evidence,
    release_all_attempts,
    release_attempts,
    start_payments,
)
from paidonce.payments.model import Attempt, AttemptKind, LookupSchedule
from paidonce.payments.store import Held
from paidonce.providers.base import ChargeRequest, Evidence, NotFound, Provider, Unknown

log = structlog.get_logger()

CLAIM_MAX: Final = 256  # One statement's worth: more would keep others from the database for too long.
EXPIRE_MAX: Final = 500


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker works; see the settings of the same names."""

    lease_seconds: float
    provider_timeout_seconds: float
    provider_concurrency: int
    poll_seconds: float
    schedule: LookupSchedule


class Worker:
    """Attempts in the hands of this process. ``settled`` is called with the id of each checkout that changed."""

    def __init__(
        self,
        writer: Batcher,
        providers: Mapping[str, Provider],
        settings: WorkerSettings,
        *,
        clock: Clock,
        chance: Chance,
        settled: Callable[[str], None],
    ) -> None:
        self._writer = writer
        self._providers = providers
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._settled = settled
        self._tasks: dict[asyncio.Task[None], Attempt] = {}
        self._reserved = 0
        self._loop_task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """How many attempts are in this worker's hands now."""
        return len(self._tasks)

    async def start(self, *, alone: bool) -> None:
        """Begin to work. ``alone``: no other process can have leases, so those that are found are dead ones'."""
        if alone:
            await self._writer.submit(release_all_attempts, None)
        self._loop_task = asyncio.create_task(self._work())

    async def stop(self, *, grace_seconds: float) -> None:
        """Claim nothing more, wait for what is in flight, then give back the leases of what is not done."""
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.gather(self._loop_task, return_exceptions=True)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_seconds)
        left = dict(self._tasks)
        for task in left:
            task.cancel()
        if left:
            await asyncio.gather(*left, return_exceptions=True)
            log.info("leases_given_back", attempts=len(left))
            await self._writer.submit(release_attempts, [_held(attempt) for attempt in left.values()])

    async def pay(self, request: StartPayment) -> PaymentStarted | PaymentReplayed:
        """Commit the intent to pay and, where a place is free, call the provider at once: no claim is needed."""
        free = self._loop_task is not None and self._free_places() > 0
        self._reserved += free
        try:
            lease_ms = round(self._settings.lease_seconds * 1000) if free else 0
            outcome = await self._writer.submit(start_payments, msgspec.structs.replace(request, lease_ms=lease_ms))
        finally:
            self._reserved -= free
        assert not isinstance(outcome, Exception)  # The batcher raises those.
        if isinstance(outcome, PaymentStarted):
            if free:
                self._attend(outcome.attempt)
            else:
                self._wake.set()
        return outcome

    def _free_places(self) -> int:
        return self._settings.provider_concurrency - len(self._tasks) - self._reserved

    async def _work(self) -> None:
        while True:
            claimed = 0
            try:
                claimed = await self._claim()
                for checkout_id in await self._writer.submit(expire_checkouts, EXPIRE_MAX):
                    self._settled(checkout_id)
            except (DatabaseUnavailable, Overloaded) as error:
                log.warning("worker_waits", cause=error.code)
            except Exception:
                log.exception("worker_failed")
            if claimed < CLAIM_MAX:
                await self._pause()

    async def _claim(self) -> int:
        wanted = min(CLAIM_MAX, self._free_places())
        if wanted <= 0:
            return 0
        lease_ms = round(self._settings.lease_seconds * 1000)
        attempts = await self._writer.submit(claim_attempts, ClaimAttempts(wanted, lease_ms))
        for attempt in attempts:
            self._attend(attempt)
        return len(attempts)

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), self._settings.poll_seconds)
        except TimeoutError:
            return
        self._wake.clear()

    def _attend(self, attempt: Attempt) -> None:
        task = asyncio.create_task(self._settle(attempt))
        self._tasks[task] = attempt
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled() and task.exception() is not None:
            log.error("attempt_left_to_its_lease", exc_info=task.exception())

    async def _settle(self, attempt: Attempt) -> None:
        evidence, cause = await self._ask(attempt)
        request = RecordEvidence(
            held=_held(attempt),
            evidence=evidence,
            cause=cause,
            schedule=self._settings.schedule,
            chance=self._chance(),
        )
        while not await self._recorded(request):
            if attempt.due_at is None or self._clock() >= attempt.due_at:
                return  # The lease is over: whoever claims the attempt asks the provider again.
            await asyncio.sleep(self._settings.poll_seconds * (0.5 + self._chance()))
        self._settled(attempt.checkout_id)

    async def _recorded(self, request: RecordEvidence) -> bool:
        try:
            await self._writer.submit(record_evidence, request)
        except (DatabaseUnavailable, Overloaded):
            return False
        return True

    async def _ask(self, attempt: Attempt) -> tuple[Evidence, Cause]:
        provider = self._providers.get(attempt.provider)
        if provider is None:
            return Unknown(f"no provider {attempt.provider} is configured"), Cause.LOOKUP
        try:
            async with asyncio.timeout(self._settings.provider_timeout_seconds):
                if attempt.may_have_been_sent:
                    found = await provider.look_up(attempt.provider_key)
                    if not isinstance(found, NotFound) or not self._may_resend(provider, attempt):
                        return found, Cause.LOOKUP
                return await self._send(provider, attempt), Cause.PROVIDER_ANSWER
        except TimeoutError:
            return Unknown(f"no answer within {self._settings.provider_timeout_seconds:g} s"), Cause.PROVIDER_ANSWER
        except Exception:
            # A defect in a connector must neither end the payment nor be taken for an answer.
            log.exception("provider_failed", provider=attempt.provider, attempt_id=attempt.id)
            return Unknown("the connector failed"), Cause.PROVIDER_ANSWER

    async def _send(self, provider: Provider, attempt: Attempt) -> Evidence:
        if attempt.due_at is None or self._clock() >= attempt.due_at:
            return Unknown("the lease was over before the call")
        return await provider.charge(
            ChargeRequest(
                key=attempt.provider_key,
                money=Money(attempt.amount, attempt.currency),
                payment_method=attempt.payment_method,
                capture=attempt.kind == AttemptKind.CHARGE,
                checkout_id=attempt.checkout_id,
                merchant_id=attempt.merchant_id,
            )
        )

    def _may_resend(self, provider: Provider, attempt: Attempt) -> bool:
        """Whether sending the same key again cannot charge twice: the provider deduplicates and remembers it still."""
        age_seconds = (self._clock() - attempt.created_at) / 1000
        remembered = provider.capabilities.key_lifetime_seconds - self._settings.provider_timeout_seconds
        return provider.capabilities.deduplicates_by_key and age_seconds < remembered


def _held(attempt: Attempt) -> Held:
    return Held(attempt.id, attempt.merchant_id, attempt.fence)
