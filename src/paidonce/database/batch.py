"""A batch: requests that waited together, run together and committed once.

Each kind of action runs once over all its requests. One fsync pays for many requests; under low load a batch is one
request and waits for nothing. A batch that fails is halved until the request that spoils it stands alone.
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
"""A use case over a batch: one outcome for each request, in their order. It must know its own earlier work again."""

Begin: TypeAlias = Callable[[], AbstractContextManager[Transaction]]
"""Opens a transaction that commits when its block ends."""

Answer: TypeAlias = tuple[int, Any]
"""The number of a job, and its outcome, which may be an exception to raise."""

WAIT_SECONDS_MAX: Final = 5.0  # A client that waited this long is told to come back; its request was never begun.


class Job(NamedTuple):
    """A request that waits for its action, since a point of the system's monotonic clock, in seconds."""

    number: int
    action: Action[Any, Any]
    request: Any
    since: float


class News(NamedTuple):
    """What commits have brought: events of these merchants, and whether any of them is to be delivered."""

    merchant_ids: frozenset[str] = frozenset()
    has_deliveries: bool = False


class Done(NamedTuple):
    """What became of a batch."""

    answers: list[Answer]
    news: News


class Batches:
    """Runs batches of at most ``limit`` jobs, one after the other, each in a transaction of its own."""

    def __init__(self, begin: Begin, *, limit: int, chance: Chance) -> None:
        self.limit: Final = limit
        self._begin = begin
        self._chance = chance
        self._committed: list[Transaction] = []

    def run(self, jobs: Sequence[Job]) -> Done:
        """Run a batch; every job has its answer."""
        self._committed = []
        latest = time.monotonic() - WAIT_SECONDS_MAX
        late = [job for job in jobs if job.since < latest]
        timely = [job for job in jobs if job.since >= latest] if late else jobs
        answers = self._run(timely)
        answers += [(job.number, Overloaded()) for job in late]
        return Done(answers, self._news())

    def _news(self) -> News:
        return News(
            frozenset(event.merchant_id for transaction in self._committed for event in transaction.events),
            any(transaction.has_deliveries for transaction in self._committed),
        )

    def _run(self, jobs: Sequence[Job]) -> list[Answer]:
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

    def _commit(self, jobs: Sequence[Job]) -> list[Answer]:
        groups: dict[Action[Any, Any], list[Job]] = {}
        for job in jobs:
            groups.setdefault(job.action, []).append(job)
        answers: list[Answer] = []
        with self._begin() as transaction:
            for action, group in groups.items():
                outcomes = action(transaction, [job.request for job in group])
                answers.extend((job.number, outcome) for job, outcome in zip(group, outcomes, strict=True))
        self._committed.append(transaction)
        return answers
