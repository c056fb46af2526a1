"""A thread that runs queued jobs in batches, one batch after the other."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread

from paidonce.database.batch import BatchResult, BatchRunner, Job


class BatchThread:
    """Runs all jobs that are waiting in one batch. ``on_result`` is called in the thread with the result of each."""

    def __init__(self, runner: BatchRunner, on_result: Callable[[BatchResult], None], *, name: str) -> None:
        self._runner = runner
        self._on_result = on_result
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = Thread(target=self._run_batches, name=name, daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Put a job into the queue."""
        self._queue.put(job)

    def stop(self) -> None:
        """Run the jobs that are queued, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run_batches(self) -> None:
        is_running = True
        while is_running:
            jobs: list[Job] = []
            job = self._queue.get()
            while job is not None:
                jobs.append(job)
                if len(jobs) >= self._runner.limit:
                    break
                try:
                    job = self._queue.get_nowait()
                except Empty:
                    break
            is_running = job is not None
            self._on_result(self._runner.run(jobs))
