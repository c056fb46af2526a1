"""The batcher: the event loop submits reads and writes to it and awaits their outcomes.

The batches run in a thread, or in a separate process (database/process.py).
"""

import asyncio
import time
from collections.abc import Callable
from itertools import count
from typing import Any, Final, Protocol

from paidonce.database.batch import (
    Action,
    BatchResult,
    BatchRunner,
    BeginTransaction,
    CommitNotice,
    Job,
    Outcome,
    Request,
)
from paidonce.database.batch_thread import BatchThread
from paidonce.errors import Overloaded, PaidonceError
from paidonce.ids import Chance


class Executor(Protocol):
    """Runs jobs in batches outside the event loop. ``pid`` is the id of its process; None where that is this one."""

    pid: int | None

    async def start(self, on_result: Callable[[BatchResult], None]) -> None:
        """Start. ``on_result`` is called in the running event loop with the result of each batch."""

    def execute(self, job: Job) -> None:
        """Queue a job to run in the next batch."""

    async def stop(self) -> None:
        """Run the jobs that are queued, then stop."""


class ThreadExecutor:
    """Runs batches in a thread of this process."""

    pid: int | None = None

    def __init__(self, runner: BatchRunner, *, name: str) -> None:
        self._runner = runner
        self._name = name
        self._thread: BatchThread | None = None

    async def start(self, on_result: Callable[[BatchResult], None]) -> None:
        """Start to work for the running event loop."""
        loop = asyncio.get_running_loop()

        def pass_on(result: BatchResult) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(on_result, result)

        self._thread = BatchThread(self._runner, pass_on, name=self._name)

    def execute(self, job: Job) -> None:
        """Put a job into the queue."""
        assert self._thread is not None, "the executor was not started"
        self._thread.put(job)

    async def stop(self) -> None:
        """Run the jobs that are queued, then end the thread."""
        if self._thread is not None:
            await asyncio.to_thread(self._thread.stop)


class Batcher:
    """Accepts actions to run, and holds at most ``limit`` that have no outcome yet."""

    def __init__(self, executor: Executor, *, limit: int) -> None:
        self._executor: Final = executor
        self._limit = limit
        self._commit_listeners: list[Callable[[CommitNotice], None]] = []
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False

    @property
    def pid(self) -> int | None:
        """The id of the process that runs the actions; None where it is this process."""
        return self._executor.pid

    async def start(self) -> None:
        """Start to work for the running event loop."""
        self._loop = asyncio.get_running_loop()
        await self._executor.start(self._resolve)

    async def stop(self) -> None:
        """Run the jobs that are queued, then stop."""
        self._stopped = True
        await self._executor.stop()

    def add_commit_listener(self, listener: Callable[[CommitNotice], None]) -> None:
        """Call ``listener`` in the event loop after a batch with events or due rows, once even if it is added twice. It
        must be quick and not raise.
        """
        if listener not in self._commit_listeners:
            self._commit_listeners.append(listener)

    async def submit(self, action: Action[Request, Outcome | PaidonceError], request: Request) -> Outcome:
        """Run ``action`` with ``request``; returns its outcome after the commit. An outcome that is an error is raised.

        Raises Overloaded where too many requests are waiting, and DatabaseUnavailable where nothing was committed.
        """
        assert self._loop is not None, "the batcher was not started"
        if self._stopped or len(self._waiting) >= self._limit:
            raise Overloaded
        number = next(self._numbers)
        future: asyncio.Future[Outcome] = self._loop.create_future()
        self._executor.execute(Job(number, action, request, time.monotonic()))
        self._waiting[number] = future  # The result arrives in a later turn of the event loop.
        try:
            return await future
        finally:
            del future  # It holds the error, whose traceback holds this frame: a reference cycle for each refusal.

    def _resolve(self, result: BatchResult) -> None:
        for number, outcome in result.results:
            future = self._waiting.pop(number)
            if future.done():  # The client has disconnected. Its request is committed all the same.
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        if result.notice.tenants or result.notice.due:
            for listener in self._commit_listeners:
                listener(result.notice)


def threaded_batcher(
    begin: BeginTransaction, *, name: str, queue_limit: int, batch_limit: int, chance: Chance
) -> Batcher:
    """Make a batcher whose batches run in a thread."""
    runner = BatchRunner(begin, limit=batch_limit, chance=chance)
    return Batcher(ThreadExecutor(runner, name=name), limit=queue_limit)
