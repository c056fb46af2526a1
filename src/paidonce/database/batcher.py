"""The batcher: where the event loop hands in what is to be read or written, and waits for its outcome.

What runs the batches is a thread, or a process of its own (database/process.py).
"""

import asyncio
import time
from collections.abc import Callable
from itertools import count
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, Protocol

from paidonce.database.batch import Action, Batches, Begin, Done, Job, News, Outcome, Request
from paidonce.errors import Overloaded
from paidonce.ids import Chance


class Executor(Protocol):
    """Runs jobs in batches, beside the event loop. ``pid`` is the process's, where it is another than this one."""

    pid: int | None

    async def start(self, done: Callable[[Done], None]) -> None:
        """Begin to work for the running event loop, in which ``done`` is called with each batch's answers."""

    def execute(self, job: Job) -> None:
        """Run a job, with others that wait."""

    async def stop(self) -> None:
        """Finish what waits, then end."""


class ThreadExecutor:
    """Runs batches in a thread of this process."""

    pid: int | None = None

    def __init__(self, batches: Batches, *, name: str) -> None:
        self._batches = batches
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._done: Callable[[Done], None] = lambda _done: None

    async def start(self, done: Callable[[Done], None]) -> None:
        """Begin to work for the running event loop."""
        self._loop, self._done = asyncio.get_running_loop(), done
        self._thread.start()

    def execute(self, job: Job) -> None:
        """Put a job into the queue."""
        self._queue.put(job)

    async def stop(self) -> None:
        """Finish what waits, then end the thread."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        going_on = True
        while going_on:
            jobs: list[Job] = []
            job = self._queue.get()
            while job is not None:
                jobs.append(job)
                if len(jobs) >= self._batches.limit:
                    break
                try:
                    job = self._queue.get_nowait()
                except Empty:
                    break
            going_on = job is not None
            done = self._batches.run(jobs)
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._done, done)


class Batcher:
    """Where actions are handed in, at most ``limit`` at a time."""

    def __init__(self, executor: Executor, *, limit: int) -> None:
        self._executor: Final = executor
        self._limit = limit
        self._told: list[Callable[[News], None]] = []
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False

    @property
    def pid(self) -> int | None:
        """The id of the process that runs what is handed in; None where that is this one."""
        return self._executor.pid

    async def start(self) -> None:
        """Begin to work for the running event loop."""
        self._loop = asyncio.get_running_loop()
        await self._executor.start(self._answer)

    async def stop(self) -> None:
        """Finish what waits, then end."""
        self._stopped = True
        await self._executor.stop()

    def tell(self, told: Callable[[News], None]) -> None:
        """Have ``told`` called, in the loop, with what commits have brought; it must not raise, nor take long."""
        self._told.append(told)

    async def submit(self, action: Action[Request, Outcome], request: Request) -> Outcome:
        """Have ``action`` run over ``request``; returns its outcome when it is committed.

        Raises Overloaded where too much waits, DatabaseUnavailable where nothing could be committed.
        """
        assert self._loop is not None, "the batcher was not started"
        if self._stopped or len(self._waiting) >= self._limit:
            raise Overloaded
        number = next(self._numbers)
        future: asyncio.Future[Outcome] = self._loop.create_future()
        self._executor.execute(Job(number, action, request, time.monotonic()))
        self._waiting[number] = future  # The answer comes in another turn of the loop.
        return await future

    def _answer(self, done: Done) -> None:
        for number, outcome in done.answers:
            future = self._waiting.pop(number)
            if future.done():  # The client has gone; what it asked for is committed all the same.
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        if done.news.merchant_ids:
            for told in self._told:
                told(done.news)


def threaded_batcher(begin: Begin, *, name: str, queue_limit: int, batch_limit: int, chance: Chance) -> Batcher:
    """Make a batcher whose batches run in a thread."""
    batches = Batches(begin, limit=batch_limit, chance=chance)
    return Batcher(ThreadExecutor(batches, name=name), limit=queue_limit)
