"""A process of its own that runs the batches: its interpreter has a lock, and so a core, of its own.

It is forked before anything runs beside it, waits to be told to begin, and lives as long as its parent: when that ends,
however it ends, there is nothing more to read, and the child finishes what is in its hands and ends. Where the child
ends first, its parent can commit nothing more and dies too: to start anew is what both are made for.
"""

import asyncio
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, NoReturn, TypeAlias

import structlog

from paidonce.database.batch import Batches, Done, Job, News
from paidonce.errors import PaidonceError
from paidonce.gc_tuning import tune_gc

log = structlog.get_logger()

OpenBatches: TypeAlias = Callable[[], AbstractContextManager[Batches]]
"""Opens the database, in the child and for as long as it works."""

LENGTH_BYTES: Final = 4
RECEIVED_BYTES_MAX: Final = 1 << 20
LOST_EXIT: Final = 1
CANNOT_PICKLE: Final = (pickle.PicklingError, AttributeError, TypeError)  # What pickle raises of what it is given.
BEGIN: Final = b"\0"


class ActionFailed(Exception):
    """An action raised what is no fact of ours; the process that ran it has logged it whole."""


class _Messages:
    """Puts together again what arrives in pieces: each message is its length and a pickle.

    A pickle can do anything to whoever reads it. Here the same program is at both ends, of a socket without a name.
    """

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """Take what was received; yields each message that is whole now."""
        self._received += data
        while len(self._received) >= LENGTH_BYTES:
            end = LENGTH_BYTES + int.from_bytes(self._received[:LENGTH_BYTES], "big")
            if len(self._received) < end:
                return
            message = bytes(self._received[LENGTH_BYTES:end])
            del self._received[:end]
            yield pickle.loads(message)  # noqa: S301 - from ourselves


def _message(said: object) -> bytes:
    data = pickle.dumps(said, pickle.HIGHEST_PROTOCOL)
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


class ProcessExecutor(asyncio.Protocol):
    """Runs batches in a child process, whose id is ``pid``; ``forked`` makes it."""

    def __init__(self, link: socket.socket, pid: int) -> None:
        self.pid: int | None = pid
        self._link = link
        self._messages = _Messages()
        self._next: list[Job] = []
        self._done: Callable[[Done], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()
        self._stopping = False
        self._shared: list[int] = []

    def share(self, descriptor: int) -> None:
        """Have the child hold a file of ours open too: a lock on it lasts until both have ended. Before the start."""
        self._shared.append(descriptor)

    async def start(self, done: Callable[[Done], None]) -> None:
        """Tell the child to open the database and to begin."""
        self._done = done
        self._loop = asyncio.get_running_loop()
        socket.send_fds(self._link, [BEGIN], self._shared)
        self._transport, _ = await self._loop.create_unix_connection(lambda: self, sock=self._link)

    def execute(self, job: Job) -> None:
        """Send a job, together with all others of this turn of the loop."""
        assert self._loop is not None, "the executor was not started"
        if not self._next:
            self._loop.call_soon(self._send)
        self._next.append(job)

    async def stop(self) -> None:
        """Have the child finish what waits and end."""
        self._stopping = True
        if self._transport is not None:
            self._send()
            self._transport.write_eof()
            await self._ended.wait()

    def _send(self) -> None:
        jobs, self._next = self._next, []
        if not jobs or self._transport is None or self._done is None:
            return
        try:
            self._transport.write(_message([tuple(job) for job in jobs]))  # One pickle names each class once.
        except CANNOT_PICKLE as error:
            if len(jobs) == 1:  # A defect of whoever submits it, and an answer to it alone.
                self._done(Done([(jobs[0].number, error)], News()))
                return
            for job in jobs:
                self._next = [job]
                self._send()

    def data_received(self, data: bytes) -> None:
        """Hand on what became of batches."""
        assert self._done is not None, "the executor was not started"
        for answers, news in self._messages.feed(data):
            self._done(Done(answers, news))

    def connection_lost(self, _error: Exception | None) -> None:
        """Note that the child has ended, or die with it."""
        if not self._stopping:
            log.critical("writer_process_lost")
            os._exit(LOST_EXIT)  # Nothing more can be committed: nobody is to be answered.
        self._ended.set()


@contextmanager
def forked(open_batches: OpenBatches, *, prepare: Callable[[], None]) -> Iterator[ProcessExecutor]:
    """Fork a child that runs batches; on leaving, it has ended. ``prepare`` is what it may do before it begins.

    To be called before this process has a thread, an event loop or a SQLite file open: none of them survives a fork.
    """
    link, child_link = socket.socketpair()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        link.close()
        _live(child_link, open_batches, prepare)
    child_link.close()
    try:
        yield ProcessExecutor(link, child)
    finally:
        link.close()
        os.waitpid(child, 0)


def _live(link: socket.socket, open_batches: OpenBatches, prepare: Callable[[], None]) -> NoReturn:
    """Be the child, from its first to its last moment."""
    status = LOST_EXIT
    try:
        for name in (signal.SIGTERM, signal.SIGINT):  # They go to the whole group: it is the parent who says when.
            signal.signal(name, signal.SIG_IGN)
        tune_gc()
        prepare()
        said, _shared, _, _ = socket.recv_fds(link, len(BEGIN), 1)
        if said:
            with open_batches() as batches:
                _work(link, batches)
        status = 0
    except ConnectionError:  # The parent is gone.
        status = 0
    except BaseException:
        log.exception("writer_process_failed")
    finally:
        os._exit(status)


def _work(link: socket.socket, batches: Batches) -> None:
    for jobs in _batches_from(link, batches.limit):
        answers, news = batches.run(jobs)
        link.sendall(_message(([(number, _crossing(outcome)) for number, outcome in answers], news)))


def _batches_from(link: socket.socket, limit: int) -> Iterator[list[Job]]:
    """Yield what waits, at most so much at a time, until the parent sends no more."""
    messages = _Messages()
    waiting: list[Job] = []
    more = True
    while more or waiting:
        while more and len(waiting) < limit:
            try:
                data = link.recv(RECEIVED_BYTES_MAX, socket.MSG_DONTWAIT if waiting else 0)
            except BlockingIOError:
                break
            more = bool(data)
            waiting += (Job(*one) for jobs in messages.feed(data) for one in jobs)
        if waiting:
            yield waiting[:limit]
            del waiting[:limit]


def _crossing(outcome: object) -> object:
    """Return an outcome as it can be told: an exception that is not ours may not survive it."""
    if isinstance(outcome, Exception) and not isinstance(outcome, PaidonceError):
        return ActionFailed(f"{type(outcome).__name__}: see the log")
    return outcome
