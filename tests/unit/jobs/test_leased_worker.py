"""The leased worker, on a virtual clock and a queue in memory; each feature tests its own worker on databases."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from paidonce.clock import Instant
from paidonce.errors import DatabaseUnavailable, Overloaded
from paidonce.jobs.leased_worker import LeasedWorker, NextClaim
from tests.proof.virtual_time import VirtualLoop, run

LEASE_MS: Final = 30_000
POLL_SECONDS: Final = 5.0


class Queue:
    """Jobs are names, and each runs for ``run_seconds``. ``record_errors`` are raised by records, one each."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.due: list[str] = []
        self.claims: list[float] = []
        self.claim_seconds = 0.0
        self.next_claim = NextClaim.AT_THE_NEXT_POLL
        self.run_seconds: dict[str, float] = {}
        self.without_result: set[str] = set()
        self.record_errors: list[Exception] = []
        self.recorded: list[tuple[str, float]] = []
        self.running: set[str] = set()
        self.released: list[str] = []
        self.release_errors: list[Exception] = []
        self._lease_ends_at: dict[str, Instant] = {}

    async def claim(self, run: Callable[[str], None]) -> NextClaim:
        self.claims.append(round(self._loop.time(), 3))
        job = self.due.pop(0) if self.due else None
        if job is not None:
            self.hold(job)
            run(job)
        await asyncio.sleep(self.claim_seconds)
        return self.next_claim

    def hold(self, job: str) -> None:
        self.running.add(job)
        self._lease_ends_at[job] = self._loop.clock() + LEASE_MS

    def id_of(self, job: str) -> str:
        return job

    def lease_ends_at(self, job: str) -> Instant:
        return self._lease_ends_at[job]

    async def run(self, job: str) -> str | None:
        await asyncio.sleep(self.run_seconds.get(job, 0.0))
        return None if job in self.without_result else f"result of {job}"

    async def record(self, job: str, result: str) -> None:
        assert result == f"result of {job}"
        if self.record_errors:
            raise self.record_errors.pop(0)
        self.recorded.append((job, round(self._loop.time(), 3)))

    def job_ended(self, job: str) -> None:
        self.running.remove(job)

    async def release(self, jobs: Sequence[str]) -> None:
        if self.release_errors:
            raise self.release_errors.pop(0)
        self.released += jobs


Story = Callable[[Queue, LeasedWorker[str, str]], Coroutine[Any, Any, None]]


def at_work(story: Story) -> None:
    async def tell(loop: VirtualLoop) -> None:
        queue = Queue(loop)
        await story(queue, LeasedWorker("test", queue, poll_seconds=POLL_SECONDS, clock=loop.clock, chance=lambda: 0.5))

    run(tell)


def test_a_due_job_is_claimed_run_and_recorded_and_then_its_place_is_free() -> None:
    async def story(queue: Queue, worker: LeasedWorker[str, str]) -> None:
        queue.due, queue.run_seconds = ["a"], {"a": 2.0}
        worker.start()
        await asyncio.sleep(1)
        assert queue.running == {"a"}
        await asyncio.sleep(2)
        assert (queue.recorded, queue.running) == ([("a", 2.0)], set())
        await worker.stop(grace_seconds=1)
        assert queue.released == []

    at_work(story)


@pytest.mark.parametrize(
    ("next_claim", "claims"),
    [
        (NextClaim.AT_THE_NEXT_POLL, [0, 5]),
        (NextClaim.WHEN_A_PLACE_IS_FREE, [0, 2, 4, 9]),
    ],
)
def test_after_a_claim_the_queue_says_when_the_next_one_is(next_claim: NextClaim, claims: list[float]) -> None:
    async def story(queue: Queue, worker: LeasedWorker[str, str]) -> None:
        queue.next_claim, queue.due = next_claim, ["a", "b"]
        queue.run_seconds = {"a": 2.0, "b": 2.0}
        worker.start()
        await asyncio.sleep(9.5 if next_claim is NextClaim.WHEN_A_PLACE_IS_FREE else 6)
        assert queue.claims == claims
        queue.next_claim = NextClaim.AT_THE_NEXT_POLL
        await worker.stop(grace_seconds=10)

    at_work(story)


def test_a_full_claim_is_followed_by_another_at_once() -> None:
    async def story(queue: Queue, worker: LeasedWorker[str, str]) -> None:
        queue.next_claim, queue.claim_seconds = NextClaim.AT_ONCE, 1.0
        worker.start()
        await asyncio.sleep(2.5)
        assert queue.claims == [0, 1, 2]
        await worker.stop(grace_seconds=1)

    at_work(story)


def test_a_job_that_ends_while_its_claim_is_still_being_made_is_followed_by_a_claim() -> None:
    async def story(queue: Queue, worker: LeasedWorker[str, str]) -> None:
        queue.next_claim, queue.due, queue.claim_seconds = NextClaim.WHEN_A_PLACE_IS_FREE, ["a"], 1.0
        worker.start()
        await asyncio.sleep(3)
        assert queue.claims == [0, 1]
        await worker.stop(grace_seconds=1)

    at_work(story)


def test_a_job_that_was_leased_elsewhere_is_run_without_a_claim() -> None:
    async def story(queue: Queue, worker: LeasedWorker[str, str]) -> None:
        worker.start()
        await asyncio.sleep(1)
        queue.hold("a")
        worker.run("a")
        await asyncio.sleep(1)
        assert (queue.recorded, queue.claims) == ([("a", 1.0)], [0])
        await worker.stop(grace_seconds=1)

    at_work(story)


def test_a_job_without_a_result_is_not_recorded() -> None:
    async def story(queue: Queue, worker: LeasedWorker[str, str]) -> None:
        queue.due, queue.without_result = ["a"], {"a"}
        with capture_logs() as lines:
            worker.start()
            await asyncio.sleep(1)
        assert (queue.recorded, queue.running, lines) == ([], set(), [])
        await worker.stop(grace_seconds=1)

    at_work(story)


@pytest.mark.parametrize("error", [DatabaseUnavailable(), Overloaded()])
def test_a_result_that_cannot_be_recorded_now_is_kept_until_it_can_and_the_job_is_not_run_again(
    error: Exception,
) -> None:
    async def story(queue: Queue, worker: LeasedWorker[str, str]) -> None:
        queue.due, queue.record_errors = ["a"], [error] * 3
        worker.start()
        await asyncio.sleep(3 * POLL_SECONDS + 1)
        assert queue.recorded == [("a", 3 * POLL_SECONDS)]
        await worker.stop(grace_seconds=1)

    at_work(story)


def test_a_result_that_cannot_be_recorded_within_the_lease_is_dropped_for_whoever_claims_the_job_next() -> None:
    async def story(queue: Queue, worker: LeasedWorker[str, str]) -> None:
        queue.due, queue.record_errors = ["a"], [Overloaded()] * 99
        worker.start()
        await asyncio.sleep(LEASE_MS / 1000 + 2 * POLL_SECONDS)
        assert (queue.recorded, queue.running) == ([], set())
        await worker.stop(grace_seconds=1)
        assert queue.released == []

    at_work(story)


def test_a_defect_in_a_job_is_logged_frees_its_place_and_stops_no_other_job() -> None:
    async def story(queue: Queue, worker: LeasedWorker[str, str]) -> None:
        queue.due, queue.record_errors = ["a", "b"], [ZeroDivisionError()]
        queue.next_claim = NextClaim.WHEN_A_PLACE_IS_FREE
        with capture_logs() as lines:
            worker.start()
            await asyncio.sleep(1)
        failures = [(one["worker"], one["job_id"]) for one in lines if one["event"] == "job_failed"]
        assert failures == [("test", "a")]
        assert ([job for job, _ in queue.recorded], queue.running) == (["b"], set())
        await worker.stop(grace_seconds=1)

    at_work(story)


def test_a_stop_gives_running_jobs_time_to_end_and_releases_the_leases_of_the_others() -> None:
    async def story(queue: Queue, worker: LeasedWorker[str, str]) -> None:
        queue.due, queue.run_seconds = ["a", "b"], {"a": 2.0, "b": 60.0}
        queue.next_claim, queue.claim_seconds = NextClaim.AT_ONCE, 0.1
        worker.start()
        await asyncio.sleep(1)
        await worker.stop(grace_seconds=5)
        assert ([job for job, _ in queue.recorded], queue.released, queue.running) == (["a"], ["b"], set())
        assert not worker.is_running

    at_work(story)


def test_a_claim_that_is_being_made_when_the_worker_stops_is_carried_out() -> None:
    async def story(queue: Queue, worker: LeasedWorker[str, str]) -> None:
        queue.due, queue.claim_seconds = ["a"], 3.0
        worker.start()
        await asyncio.sleep(0)
        await worker.stop(grace_seconds=5)
        assert [job for job, _ in queue.recorded] == ["a"]

    at_work(story)


def test_leases_that_cannot_be_released_are_logged_and_end_by_themselves() -> None:
    async def story(queue: Queue, worker: LeasedWorker[str, str]) -> None:
        queue.due, queue.run_seconds, queue.release_errors = ["a"], {"a": 60.0}, [DatabaseUnavailable()]
        worker.start()
        await asyncio.sleep(1)
        with capture_logs() as lines:
            await worker.stop(grace_seconds=1)
        assert [(one["event"], one["jobs"]) for one in lines] == [("leases_not_released", 1)]

    at_work(story)


def test_a_worker_that_does_not_poll_claims_when_it_is_woken() -> None:
    async def tell(loop: VirtualLoop) -> None:
        queue = Queue(loop)
        worker = LeasedWorker(
            "test", queue, poll_seconds=POLL_SECONDS, clock=loop.clock, chance=lambda: 0.5, is_polling=False
        )
        worker.start()
        await asyncio.sleep(POLL_SECONDS * 3)
        assert queue.claims == [0]
        worker.wake()
        await asyncio.sleep(1)
        await worker.stop(grace_seconds=1)
        assert queue.claims == [0, POLL_SECONDS * 3]

    run(tell)


def test_a_worker_that_found_a_job_polls_again_at_its_interval_however_idle_it_was() -> None:
    async def story(queue: Queue, worker: LeasedWorker[str, str]) -> None:
        worker.start()
        await asyncio.sleep(POLL_SECONDS * 3)
        queue.due = ["a"]
        await asyncio.sleep(POLL_SECONDS * 3)
        await worker.stop(grace_seconds=1)
        found_at = next(at for job, at in queue.recorded if job == "a")
        assert queue.claims[queue.claims.index(found_at) + 1] == found_at + POLL_SECONDS

    at_work(story)
