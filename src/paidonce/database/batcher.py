"""The batcher: requests that wait together run together, commit once, and are answered only then.

Each kind of action runs once over all its requests. One fsync pays for many requests; under low load a batch is one
request and waits for nothing. A batch that fails is halved until the request that spoils it stands alone.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, TypeAlias, TypeVar

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

WAIT_SECONDS_MAX: Final = 5.0  # A client that waited this long is told to come back; its request was never begun.


class _Job:
    __slots__ = ("action", "future", "request", "since")

    def __init__(self, action: Action[Any, Any], request: object, future: asyncio.Future[Any]) -> None:
        self.action = action
        self.request = request
        self.future = future
        self.since = time.monotonic()


class Batcher:
    """A thread that runs actions in batches. ``begin`` opens a transaction that commits when its block ends."""

    def __init__(
        self,
        begin: Callable[[], AbstractContextManager[Transaction]],
        *,
        name: str,
        queue_limit: int,
        batch_limit: int,
        chance: Chance,
    ) -> None:
        self._begin = begin
        self._queue_limit = queue_limit
        self._batch_limit = batch_limit
        self._chance = chance
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False

    def start(self) -> None:
        """Begin to work for the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Finish what waits, then end the thread."""
        self._stopped = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    async def submit(self, action: Action[Request, Outcome], request: Request) -> Outcome:
        """Have ``action`` run over ``request``; returns its outcome when it is committed.

        Raises Overloaded where too much waits, DatabaseUnavailable where nothing could be committed.
        """
        assert self._loop is not None, "the batcher was not started"
        if self._stopped or self._queue.qsize() >= self._queue_limit:
            raise Overloaded
        future: asyncio.Future[Outcome] = self._loop.create_future()
        self._queue.put(_Job(action, request, future))
        return await future

    def _work(self) -> None:
        going_on = True
        while going_on:
            jobs: list[_Job] = []
            job = self._queue.get()
            while job is not None:
                jobs.append(job)
                if len(jobs) >= self._batch_limit:
                    break
                try:
                    job = self._queue.get_nowait()
                except Empty:
                    break
            going_on = job is not None
            answers = self._run(self._refuse_the_late(jobs))
            if answers and self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(_answer, answers)

    def _refuse_the_late(self, jobs: list[_Job]) -> list[_Job]:
        latest = time.monotonic() - WAIT_SECONDS_MAX
        late = [(job, Overloaded()) for job in jobs if job.since < latest]
        if not late:
            return jobs
        if self._loop is not None:
            self._loop.call_soon_threadsafe(_answer, late)
        return [job for job in jobs if job.since >= latest]

    def _run(self, jobs: list[_Job]) -> list[tuple[_Job, Any]]:
        if not jobs:
            return []
        try:
            return with_retries(lambda: self._commit(jobs), chance=self._chance)
        except DatabaseUnavailable as error:
            log.error("batch_refused", requests=len(jobs), cause=str(error.__cause__))
            return [(job, error) for job in jobs]
        except Exception as error:
            if len(jobs) == 1:
                if not isinstance(error, PaidonceError):
                    log.exception("action_failed", action=getattr(jobs[0].action, "__name__", "?"))
                return [(jobs[0], error)]
            middle = len(jobs) // 2
            return self._run(jobs[:middle]) + self._run(jobs[middle:])

    def _commit(self, jobs: list[_Job]) -> list[tuple[_Job, Any]]:
        groups: dict[Action[Any, Any], list[_Job]] = {}
        for job in jobs:
            groups.setdefault(job.action, []).append(job)
        answers: list[tuple[_Job, Any]] = []
        with self._begin() as transaction:
            for action, group in groups.items():
                outcomes = action(transaction, [job.request for job in group])
                answers.extend(zip(group, outcomes, strict=True))
        return answers


def _answer(answers: list[tuple[_Job, Any]]) -> None:
    for job, outcome in answers:
        if job.future.done():  # The client has gone; what it asked for is committed all the same.
            continue
        if isinstance(outcome, Exception):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)
