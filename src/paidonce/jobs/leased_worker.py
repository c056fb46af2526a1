"""The leased worker: it claims due jobs under a lease, runs them, and records their results.

No transaction is open while a job runs. A worker that dies leaves its leases behind; when they end, another worker
claims the jobs with a higher fencing token, and whatever the first one still writes changes no row.
"""

import asyncio
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Final, Generic, Protocol, TypeVar

import structlog

from paidonce.clock import Clock, Instant
from paidonce.errors import DatabaseUnavailable, Overloaded
from paidonce.ids import Chance
from paidonce.jobs.poller import AT_ONCE, IDLE_FACTOR, Poller

log = structlog.get_logger()

UNWOKEN_SECONDS: Final = 60.0  # A wake-up that is missed delays a job no longer than that.

Job = TypeVar("Job")
Result = TypeVar("Result")


class NextClaim(Enum):
    """When to claim again, after a claim."""

    AT_ONCE = auto()
    WHEN_A_PLACE_IS_FREE = auto()
    AT_THE_NEXT_POLL = auto()


class JobQueue(Protocol[Job, Result]):
    """The jobs of a leased worker. A queue bounds how many jobs are claimed, and knows what to do with each of them."""

    async def claim(self, run: Callable[[Job], None]) -> NextClaim:
        """Claim due jobs under a lease, as many as may run now, and give each to ``run`` when its claim is committed.

        May raise DatabaseUnavailable and Overloaded.
        """
        ...

    def id_of(self, job: Job) -> str:
        """Return the id of a job, for the log."""
        ...

    def lease_ends_at(self, job: Job) -> Instant:
        """Return when the lease of a job ends."""
        ...

    async def run(self, job: Job) -> Result | None:
        """Run a job; returns what is to be recorded, None for nothing."""
        ...

    async def record(self, job: Job, result: Result) -> None:
        """Record the result of a job under its fencing token. May raise DatabaseUnavailable and Overloaded."""
        ...

    def job_ended(self, job: Job) -> None:
        """Allow another job to run in the place of this one, which has ended in whatever way."""
        ...

    async def release(self, jobs: Sequence[Job]) -> None:
        """End the leases of jobs that were not completed. May raise DatabaseUnavailable and Overloaded."""
        ...


class LeasedWorker(Generic[Job, Result]):
    """Runs the jobs of one queue, and holds their leases. ``name`` identifies the worker in the log.

    With ``is_polling=False`` the worker claims only when it is woken: somebody else looks for due jobs.
    """

    def __init__(
        self,
        name: str,
        queue: JobQueue[Job, Result],
        *,
        poll_seconds: float,
        clock: Clock,
        chance: Chance,
        wake_delay_seconds: float = 0.0,
        is_polling: bool = True,
    ) -> None:
        self._name = name
        self._queue = queue
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._chance = chance
        self._poller = Poller(
            name,
            self._claim,
            poll_seconds=poll_seconds,
            idle_seconds_max=poll_seconds * IDLE_FACTOR,
            wake_delay_seconds=wake_delay_seconds,
        )
        self._is_polling = is_polling
        self._has_claimed = False  # Since the last claim began.
        self._tasks: dict[asyncio.Task[None], Job] = {}
        self._next_claim = NextClaim.AT_THE_NEXT_POLL
        self._has_freed_place = False  # Since the last claim began.

    @property
    def is_running(self) -> bool:
        """Whether the worker takes jobs: it has been started and is not being stopped."""
        return self._poller.is_running

    def start(self) -> None:
        """Claim jobs from now on."""
        self._poller.start()

    def wake(self) -> None:
        """Claim soon: a job is due."""
        self._poller.wake()

    def wake_in(self, seconds: float) -> None:
        """Claim in ``seconds``: a job is due then."""
        self._poller.wake_in(seconds)

    def place_freed(self) -> None:
        """Claim soon if the queue waits for a place: a job has ended, or a place was given back unused."""
        self._has_freed_place = True
        if self._next_claim is NextClaim.WHEN_A_PLACE_IS_FREE:
            self._poller.wake()

    def run(self, job: Job) -> None:
        """Run a job that is leased to this worker, and record its result."""
        self._has_claimed = True
        task = asyncio.create_task(self._run(job))
        self._tasks[task] = job
        task.add_done_callback(self._ended)

    async def stop(self, *, grace_seconds: float) -> None:
        """Claim nothing more, give running jobs ``grace_seconds`` to end, then release the leases of the others."""
        await self._poller.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_seconds)
        unfinished = dict(self._tasks)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        if unfinished:
            await self._release(list(unfinished.values()))

    async def _claim(self) -> float | None:
        self._has_freed_place = self._has_claimed = False
        self._next_claim = await self._queue.claim(self.run)
        if self._next_claim is NextClaim.WHEN_A_PLACE_IS_FREE and self._has_freed_place:
            self._poller.wake()
        if self._next_claim is NextClaim.AT_ONCE:
            return AT_ONCE
        if not self._is_polling:
            return UNWOKEN_SECONDS
        return self._poll_seconds if self._has_claimed else None

    async def _run(self, job: Job) -> None:
        result = await self._queue.run(job)
        while result is not None and not await self._recorded(job, result):
            if self._clock() >= self._queue.lease_ends_at(job):
                return  # Another worker may claim the job now.
            await asyncio.sleep(self._poll_seconds * (0.5 + self._chance()))

    async def _recorded(self, job: Job, result: Result) -> bool:
        try:
            await self._queue.record(job, result)
        except (DatabaseUnavailable, Overloaded):
            return False
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        job = self._tasks.pop(task)
        self._queue.job_ended(job)
        self.place_freed()
        if not task.cancelled() and task.exception() is not None:
            # The job keeps its lease: when that ends, the job is claimed again.
            log.error("job_failed", worker=self._name, job_id=self._queue.id_of(job), exc_info=task.exception())

    async def _release(self, jobs: Sequence[Job]) -> None:
        try:
            await self._queue.release(jobs)
        except (DatabaseUnavailable, Overloaded) as error:
            log.warning("leases_not_released", worker=self._name, jobs=len(jobs), cause=error.code)
        else:
            log.info("leases_released", worker=self._name, jobs=len(jobs))
