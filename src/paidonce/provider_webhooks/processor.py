"""The inbox: takes what providers send, applies it at once, and again what could not be applied."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from paidonce.clock import Clock, Instant
from paidonce.database.batcher import Batcher
from paidonce.errors import DatabaseUnavailable, Overloaded
from paidonce.ids import Chance
from paidonce.payments.model import LookupSchedule
from paidonce.provider_webhooks.actions import (
    ApplyWebhook,
    OldWebhooks,
    ReceivedWebhook,
    apply_webhooks,
    fail_webhooks,
    find_due_webhooks,
    find_old_webhooks,
    prune_webhooks,
    store_webhooks,
)
from paidonce.provider_webhooks.model import WebhookResult
from paidonce.provider_webhooks.store import WebhookName
from paidonce.providers.base import Notice

log = structlog.get_logger()

APPLY_MAX: Final = 256
PRUNE_MAX: Final = 256  # A statement of milliseconds, between which others write.
PRUNE_PAUSE_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000


class Inbox:
    """Providers' webhooks. ``settled`` is called with the id of each checkout that may have changed."""

    def __init__(
        self,
        writer: Batcher,
        reader: Batcher,
        *,
        schedule: LookupSchedule,
        poll_seconds: float,
        keep_days: float,
        clock: Clock,
        chance: Chance,
        settled: Callable[[str], None],
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._schedule = schedule
        self._poll_seconds = poll_seconds
        self._keep_ms = round(keep_days * DAY_MS)
        self._clock = clock
        self._prune_at: Instant = 0
        self._chance = chance
        self._settled = settled
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop_task: asyncio.Task[None] | None = None

    async def receive(self, provider: str, notice: Notice, body: bytes) -> None:
        """Commit a webhook, and begin to apply it: what is acknowledged after this is never lost."""
        name = await self._writer.submit(store_webhooks, ReceivedWebhook(provider, notice, body))
        task = asyncio.create_task(self._apply(name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def start(self) -> None:
        """Begin to look for what was left: by a process that died, or because its attempt was not there."""
        self._loop_task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Look no more, and wait for what is being applied."""
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.gather(self._loop_task, return_exceptions=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            due = 0
            try:
                due = await self._do(self._apply_due)
                await self._do(self._prune)
            except (DatabaseUnavailable, Overloaded) as error:
                log.warning("inbox_waits", cause=error.code)
            if due < APPLY_MAX:
                await asyncio.sleep(self._poll_seconds)

    async def _do(self, step: Callable[[], Awaitable[int]]) -> int:
        """Do one thing of several; a defect in it does not keep the others from being done."""
        try:
            return await step()
        except (DatabaseUnavailable, Overloaded):
            raise
        except Exception:
            log.exception("inbox_failed")
        return 0

    async def _apply_due(self) -> int:
        due = await self._reader.submit(find_due_webhooks, APPLY_MAX)
        await asyncio.gather(*(self._apply(name) for name in due))
        return len(due)

    async def _prune(self) -> int:
        """Delete one batch of what is long applied, if it is time to; returns how much that was."""
        now = self._clock()
        if now < self._prune_at:
            return 0
        old = await self._reader.submit(find_old_webhooks, OldWebhooks(self._keep_ms, PRUNE_MAX))
        if old:
            await self._writer.submit(prune_webhooks, old)
        if len(old) < PRUNE_MAX:
            self._prune_at = now + PRUNE_PAUSE_MS
        return len(old)

    async def _apply(self, name: WebhookName) -> None:
        wish = ApplyWebhook(name=name, schedule=self._schedule, chance=self._chance())
        try:
            applied = await self._writer.submit(apply_webhooks, wish)
        except (DatabaseUnavailable, Overloaded):
            return  # It is stored and due: the loop finds it.
        except Exception:
            log.exception("webhook_not_applied", provider=name.provider, webhook_id=name.id)
            await self._put_off(name)
            return
        if applied is not None and applied.result is WebhookResult.ATTEMPT_NOT_FOUND:
            log.warning("webhook_without_attempt", provider=name.provider, webhook_id=name.id)
        if applied is not None and applied.checkout_id is not None:
            self._settled(applied.checkout_id)

    async def _put_off(self, name: WebhookName) -> None:
        try:
            await self._writer.submit(fail_webhooks, name)
        except (DatabaseUnavailable, Overloaded):
            return
        except Exception:
            log.exception("webhook_not_put_off", provider=name.provider, webhook_id=name.id)
