"""The processor of provider webhooks: it stores each webhook, applies it at once, and retries what failed."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from paidonce.clock import DAY_MS, Clock
from paidonce.database.batch import CommitNotice
from paidonce.database.batcher import Batcher
from paidonce.database.schema import provider_webhook
from paidonce.errors import DatabaseUnavailable, Overloaded
from paidonce.ids import Chance
from paidonce.jobs.deletion import paced_deletion
from paidonce.jobs.poller import AT_ONCE, IDLE_FACTOR, Poller
from paidonce.payments.schedule import LookupSchedule
from paidonce.provider_webhooks.actions import (
    ApplyWebhook,
    DueWebhooks,
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
from paidonce.provider_webhooks.store import DuePosition, WebhookName
from paidonce.providers.evidence import Notice

log = structlog.get_logger()

APPLY_MAX: Final = 256
PRUNE_MAX: Final = 256  # A statement of milliseconds, between which others write.
PRUNE_INTERVAL_MS: Final = 3_600_000


class ProviderWebhookProcessor:
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
        self._keep_ms = round(keep_days * DAY_MS)
        self._clock = clock
        self._chance = chance
        self._settled = settled
        self._after: DuePosition | None = None  # Where the next page of due webhooks begins.
        self._tasks: set[asyncio.Task[None]] = set()
        self._due_poller = Poller(
            "due provider webhooks",
            self._apply_page,
            poll_seconds=poll_seconds,
            idle_seconds_max=poll_seconds * IDLE_FACTOR,
        )
        self._pollers = [
            self._due_poller,
            Poller(
                "old provider webhooks",
                paced_deletion(self._prune, interval_ms=PRUNE_INTERVAL_MS, clock=clock),
                poll_seconds=poll_seconds,
            ),
        ]

    async def receive(self, provider: str, notices: Sequence[Notice], body: bytes) -> None:
        """Commit what a webhook says, and begin to apply it: what is acknowledged after this is never lost."""
        received = [ReceivedWebhook(provider, notice, body) for notice in notices]
        for name in await asyncio.gather(*(self._writer.submit(store_webhooks, one) for one in received)):
            task = asyncio.create_task(self._apply(name))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def start(self) -> None:
        """Start to poll for webhooks that a dead process left behind, or that could not be applied."""
        self._writer.add_commit_listener(self._committed)
        self._reader.add_commit_listener(self._committed)
        for poller in self._pollers:
            poller.start()

    async def stop(self) -> None:
        """Stop polling, and wait for the webhooks that are being applied."""
        await asyncio.gather(*(poller.stop() for poller in self._pollers))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _committed(self, notice: CommitNotice) -> None:
        """Have webhooks applied when they are due to be tried again."""
        for at in notice.due_in(provider_webhook).values():
            self._due_poller.wake_in((at - self._clock()) / 1000)

    async def _apply_page(self) -> float | None:
        """Apply one page of due webhooks. The next page begins after this one, whatever became of it.

        So webhooks that can be neither applied nor put off do not keep others waiting; the next poll tries them again.
        """
        page = await self._reader.submit(find_due_webhooks, DueWebhooks(APPLY_MAX, self._after))
        await asyncio.gather(*(self._apply(one.name) for one in page))
        self._after = page[-1] if len(page) == APPLY_MAX else None
        return None if self._after is None else AT_ONCE

    async def _prune(self) -> bool:
        """Delete a batch of webhooks that were applied long ago; returns whether there may be more."""
        old = await self._reader.submit(find_old_webhooks, OldWebhooks(self._keep_ms, PRUNE_MAX))
        if old:
            await self._writer.submit(prune_webhooks, old)
        return len(old) == PRUNE_MAX

    async def _apply(self, name: WebhookName) -> None:
        command = ApplyWebhook(name=name, schedule=self._schedule, chance=self._chance())
        try:
            applied = await self._writer.submit(apply_webhooks, command)
        except (DatabaseUnavailable, Overloaded):
            return  # It is stored and due: a poll finds it.
        except Exception:
            log.exception("webhook_not_applied", provider=name.provider, webhook_id=name.id)
            await self._put_off(name)
            return
        if applied is not None and applied.result is WebhookResult.ATTEMPT_NOT_FOUND:
            log.warning("webhook_without_attempt", provider=name.provider, webhook_id=name.id)
        if applied is not None and applied.result is WebhookResult.NEEDS_REVIEW:
            log.error(
                "webhook_needs_review",
                provider=name.provider,
                webhook_id=name.id,
                checkout_id=applied.checkout_id,
                reason=applied.reason,
                remedy="paidonce inbox list",
            )
        if applied is not None and applied.result is WebhookResult.POSTPONED:
            log.info("webhook_postponed", provider=name.provider, webhook_id=name.id, reason=applied.reason)
        if applied is not None and applied.checkout_id is not None:
            self._settled(applied.checkout_id)

    async def _put_off(self, name: WebhookName) -> None:
        try:
            await self._writer.submit(fail_webhooks, name)
        except (DatabaseUnavailable, Overloaded):
            return
        except Exception:
            log.exception("webhook_not_put_off", provider=name.provider, webhook_id=name.id)
