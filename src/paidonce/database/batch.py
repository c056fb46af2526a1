"""A batch: requests that are waiting at the same time run together and are committed in one transaction.

Each action runs once over all of its requests in the batch, so that one fsync pays for many requests. Under low load a
batch is a single request, and it does not wait for others. A batch that fails is split in halves until the failing
request is alone.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import structlog

from paidonce.database.faults import with_retries
from paidonce.database.transaction import Transaction
from paidonce.errors import DatabaseUnavailable, Overloaded, PaidonceError
from paidonce.ids import Chance

log = structlog.get_logger()

Request = TypeVar("Request")
Outcome = TypeVar("Outcome")

Action: TypeAlias = Callable[[Transaction, Sequence[Request]], Sequence[Outcome]]
"""A use case over a batch. It returns one outcome for each request, in the same order, and recognizes work that it has
already done.
"""

BeginTransaction: TypeAlias = Callable[[], AbstractContextManager[Transaction]]
"""Opens a transaction that is committed when the block ends."""

JobResult: TypeAlias = tuple[int, Any]
"""The number of a job, and its outcome: a value, or an exception to raise."""

WAIT_SECONDS_MAX: Final = 5.0  # A request that waited longer is refused with Overloaded, and is not run.


class Job(NamedTuple):
    """A request that waits for its action. ``submitted_at`` is in seconds of the monotonic clock."""

    number: int
    action: Action[Any, Any]
    request: Any
    submitted_at: float


class CommitNotice(NamedTuple):
    """What was committed: whose logs have new events, and whether any of these events has to be delivered."""

    tenants: frozenset[Any] = frozenset()
    has_deliveries: bool = False


class BatchResult(NamedTuple):
    """The result of each job in a batch, and a notice of what was committed."""

    results: list[JobResult]
    notice: CommitNotice


class BatchRunner:
    """Runs batches of at most ``limit`` jobs, one after the other, each in its own transaction."""

    def __init__(self, begin: BeginTransaction, *, limit: int, chance: Chance) -> None:
        self.limit: Final = limit
        self._begin = begin
        self._chance = chance
        self._committed: list[Transaction] = []

    def run(self, jobs: Sequence[Job]) -> BatchResult:
        """Run a batch; returns a result for every job."""
        self._committed = []
        oldest_accepted = time.monotonic() - WAIT_SECONDS_MAX
        expired = [job for job in jobs if job.submitted_at < oldest_accepted]
        accepted = [job for job in jobs if job.submitted_at >= oldest_accepted] if expired else jobs
        results = self._run(accepted)
        results += [(job.number, Overloaded()) for job in expired]
        return BatchResult(results, self._notice())

    def _notice(self) -> CommitNotice:
        return CommitNotice(
            frozenset(event.tenant for transaction in self._committed for event in transaction.events),
            any(transaction.has_deliveries for transaction in self._committed),
        )

    def _run(self, jobs: Sequence[Job]) -> list[JobResult]:
        if not jobs:
            return []
        try:
            return with_retries(lambda: self._commit(jobs), chance=self._chance)
        except DatabaseUnavailable as error:
            log.error("batch_refused", requests=len(jobs), cause=str(error.__cause__))
            return [(job.number, error) for job in jobs]
        except Exception as error:
            if len(jobs) == 1:
                if not isinstance(error, PaidonceError):
                    log.exception("action_failed", action=getattr(jobs[0].action, "__name__", "?"))
                return [(jobs[0].number, error)]
            middle = len(jobs) // 2
            return self._run(jobs[:middle]) + self._run(jobs[middle:])

    def _commit(self, jobs: Sequence[Job]) -> list[JobResult]:
        groups: dict[Action[Any, Any], list[Job]] = {}
        for job in jobs:
            groups.setdefault(job.action, []).append(job)
        results: list[JobResult] = []
        with self._begin() as transaction:
            for action, group in groups.items():
                outcomes = action(transaction, [job.request for job in group])
                results.extend((job.number, outcome) for job, outcome in zip(group, outcomes, strict=True))
        self._committed.append(transaction)
        return results
