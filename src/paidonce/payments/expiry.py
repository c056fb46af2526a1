"""What becomes due by time alone: checkouts that expire, money that they still hold, and idempotency keys."""

import asyncio
from collections.abc import Callable
from typing import Final

from paidonce import ids
from paidonce.checkouts.actions import expire_checkouts
from paidonce.clock import Clock
from paidonce.database.batch import CommitNotice
from paidonce.database.batcher import Batcher
from paidonce.database.schema import checkout
from paidonce.idempotency.actions import delete_expired_keys
from paidonce.jobs.deletion import paced_deletion
from paidonce.jobs.poller import RARE_FACTOR, Poller, Step
from paidonce.payments.capture import VoidExpired, void_expired

EXPIRE_MAX: Final = 500  # Checkouts in one step.
DELETE_MAX: Final = 500  # Idempotency keys in one step, between which others write.
DELETE_INTERVAL_MS: Final = 60_000  # Keys are kept for weeks, so a minute more makes no difference.


class ExpiryPollers:
    """``expired`` is called with the id of each expired checkout."""

    def __init__(
        self,
        writer: Batcher,
        *,
        poll_seconds: float,
        clock: Clock,
        expired: Callable[[str], None],
    ) -> None:
        self._writer = writer
        self._expired = expired
        self._clock = clock
        steps: dict[str, Step] = {
            "expired checkouts": self._expire_checkouts,
            "voids of expired checkouts": self._void_expired,
        }
        delete_keys = paced_deletion(self._delete_keys, interval_ms=DELETE_INTERVAL_MS, clock=clock)
        self._poll_seconds = poll_seconds
        self._checkout_pollers = [
            Poller(name, step, poll_seconds=poll_seconds, idle_seconds_max=poll_seconds * RARE_FACTOR)
            for name, step in steps.items()
        ]
        self._pollers = [
            *self._checkout_pollers,
            Poller("expired idempotency keys", delete_keys, poll_seconds=poll_seconds),
        ]

    def start(self) -> None:
        """Start to poll."""
        self._writer.add_commit_listener(self._committed)
        for poller in self._pollers:
            poller.start()

    async def stop(self) -> None:
        """Stop to poll."""
        await asyncio.gather(*(poller.stop() for poller in self._pollers))

    def _committed(self, notice: CommitNotice) -> None:
        """Have checkouts expire when they are due."""
        for at in notice.due_in(checkout).values():
            for poller in self._checkout_pollers:
                poller.wake_in((at - self._clock()) / 1000)

    async def _expire_checkouts(self) -> float | None:
        expired = await self._writer.submit(expire_checkouts, EXPIRE_MAX)
        for checkout_id in expired:
            self._expired(checkout_id)
        return self._poll_seconds if expired else None

    async def _void_expired(self) -> float | None:
        started = await self._writer.submit(void_expired, VoidExpired(EXPIRE_MAX, ids.new_id))
        return self._poll_seconds if started else None

    async def _delete_keys(self) -> bool:
        return await self._writer.submit(delete_expired_keys, DELETE_MAX) == DELETE_MAX
