"""The leases of a payment worker: nothing is recorded under a lease that was taken over."""

import asyncio

from structlog.testing import capture_logs

from tests.support.worker import LEASE_SECONDS, POLL_SECONDS, WorkerHarness, run_with_worker


def test_a_worker_that_records_after_its_lease_was_taken_over_changes_nothing(database_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        place.answer_seconds = 18.0
        await place.pay(place.payments.create(), "att_1")
        await place.until(lambda: place.loop.time() >= 10)
        place.disk_is_full = True  # Its answer comes after 18 seconds, and it tries to record that every 5 seconds.
        await place.until(lambda: place.loop.time() >= LEASE_SECONDS - 1)
        place.disk_is_full = False
        await place.until(lambda: place.payments.attempt("att_1").fence == 2)
        taken_over = place.payments.attempt("att_1")
        assert place.loop.time() < LEASE_SECONDS + POLL_SECONDS  # Before the first owner writes.
        await asyncio.sleep(POLL_SECONDS + 2)  # Meanwhile the first owner writes, and the second waits for its answer.
        assert place.payments.attempt("att_1") == taken_over
        await place.until(lambda: place.payments.attempt("att_1").status == "SUCCEEDED")

    with capture_logs():
        run_with_worker(database_url, story)
