"""The monitor of unproven outcomes: it logs outcomes that have been unknown for long, and attempts that need review."""

from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from paidonce.clock import Clock, Instant
from paidonce.database.batcher import Batcher
from paidonce.database.transaction import Transaction
from paidonce.jobs.poller import Poller
from paidonce.payments.model import AttemptStatus
from paidonce.payments.review_store import count_unproven

log = structlog.get_logger()

PERIOD_SECONDS: Final = 600.0  # So often at the most, in each process with a worker.
UNKNOWN_MS_MAX: Final = 3_600_000  # By then five look-ups have found nothing: something is wrong.


class Unproven(msgspec.Struct, frozen=True, kw_only=True):
    """How many outcomes are looked up or wait for a person, each counted up to COUNTED_MAX, and since when the oldest
    is unknown.
    """

    unknown: int = 0
    unknown_since: Instant | None = None
    in_review: int = 0
    in_review_since: Instant | None = None


def measure_unproven(transaction: Transaction, requests: Sequence[None]) -> list[Unproven]:
    """Count the outcomes without a proof."""
    unknown, unknown_since = count_unproven(transaction, AttemptStatus.UNKNOWN)
    in_review, in_review_since = count_unproven(transaction, AttemptStatus.NEEDS_REVIEW)
    measured = Unproven(
        unknown=unknown, unknown_since=unknown_since, in_review=in_review, in_review_since=in_review_since
    )
    return [measured for _ in requests]


class UnprovenOutcomeMonitor:
    """Polls once a period, from its start until it is stopped."""

    def __init__(self, reader: Batcher, *, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._poller = Poller("unproven outcomes", self.look, poll_seconds=PERIOD_SECONDS)

    def start(self) -> None:
        """Start to poll."""
        self._poller.start()

    async def stop(self) -> None:
        """Stop polling."""
        await self._poller.stop()

    async def look(self) -> None:
        """Look once, and log what a person should know."""
        found = await self._reader.submit(measure_unproven, None)
        now = self._clock()
        if found.in_review_since is not None:
            log.error(
                "attempts_need_review",
                attempts=found.in_review,
                oldest_seconds=(now - found.in_review_since) // 1000,
                remedy="paidonce review list",
            )
        if found.unknown_since is not None and now - found.unknown_since > UNKNOWN_MS_MAX:
            log.warning(
                "outcomes_unknown_for_long",
                attempts=found.unknown,
                oldest_seconds=(now - found.unknown_since) // 1000,
                remedy="paidonce review list",
            )
