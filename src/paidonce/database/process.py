"""A separate process that runs the batches. It has its own interpreter and interpreter lock, and so its own core.

The process is forked before its parent starts anything else, and waits for a message to begin. When the parent ends,
for whatever reason, the child reads the end of the connection, finishes the jobs that it has received, and exits. When
the child ends first, the parent can commit nothing more and exits too. Both are made to be restarted.
"""

import asyncio
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import Lock
from typing import Any, Final, NoReturn, TypeAlias

import structlog

from paidonce.database.batch import BatchResult, BatchRunner, CommitNotice, Job
from paidonce.database.citus.lanes import NodeLanes
from paidonce.errors import PaidonceError
from paidonce.gc_tuning import tune_gc

log = structlog.get_logger()

OpenRunner: TypeAlias = Callable[[], AbstractContextManager[BatchRunner | NodeLanes]]
"""Opens the database in the child process, for as long as it works. What it provides runs the batches."""

LENGTH_BYTES: Final = 4
RECEIVED_BYTES_MAX: Final = 1 << 20
LOST_EXIT: Final = 1
CANNOT_PICKLE: Final = (
    pickle.PicklingError,
    AttributeError,
    TypeError,
)  # What pickle raises for a value that it cannot pickle.
BEGIN: Final = b"\0"


class ActionFailed(Exception):
    """An action raised an unexpected exception. The process that ran it has logged the exception in full."""


class _MessageDecoder:
    """Reassembles messages that arrive in pieces. A message is its length and a pickle.

    Loading a pickle can run any code. Here the same program is at both ends, of a socket without a name.
    """

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """Add received bytes; yields each message that is now complete."""
        self._received += data
        while len(self._received) >= LENGTH_BYTES:
            end = LENGTH_BYTES + int.from_bytes(self._received[:LENGTH_BYTES], "big")
            if len(self._received) < end:
                return
            message = bytes(self._received[LENGTH_BYTES:end])
            del self._received[:end]
            yield pickle.loads(message)  # noqa: S301 - from ourselves


def _encode_message(content: object) -> bytes:
    data = pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


class ProcessExecutor(asyncio.Protocol):
    """Runs batches in a child process, whose id is ``pid``; ``fork_executor`` makes it."""

    def __init__(self, link: socket.socket, pid: int) -> None:
        self.pid: int | None = pid
        self._link = link
        self._messages = _MessageDecoder()
        self._next: list[Job] = []
        self._on_result: Callable[[BatchResult], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()
        self._stopping = False
        self._shared: list[int] = []

    def share_descriptor(self, descriptor: int) -> None:
        """Have the child process keep a file of ours open too, so that a lock on it lasts until both have ended. Call
        it before ``start``.
        """
        self._shared.append(descriptor)

    async def start(self, on_result: Callable[[BatchResult], None]) -> None:
        """Tell the child to open the database and start to work."""
        self._on_result = on_result
        self._loop = asyncio.get_running_loop()
        socket.send_fds(self._link, [BEGIN], self._shared)
        self._transport, _ = await self._loop.create_unix_connection(lambda: self, sock=self._link)

    def execute(self, job: Job) -> None:
        """Send a job, together with all others of this turn of the event loop."""
        assert self._loop is not None, "the executor was not started"
        if not self._next:
            self._loop.call_soon(self._send)
        self._next.append(job)

    async def stop(self) -> None:
        """Let the child run the jobs that it has received, and end it."""
        self._stopping = True
        if self._transport is not None:
            self._send()
            self._transport.write_eof()
            await self._ended.wait()

    def _send(self) -> None:
        jobs, self._next = self._next, []
        if not jobs or self._transport is None or self._on_result is None:
            return
        try:
            self._transport.write(_encode_message([tuple(job) for job in jobs]))  # One pickle names each class once.
        except CANNOT_PICKLE as error:
            if len(jobs) == 1:  # A defect of the caller: only its own job fails.
                self._on_result(BatchResult([(jobs[0].number, error)], CommitNotice()))
                return
            for job in jobs:
                self._next = [job]
                self._send()

    def data_received(self, data: bytes) -> None:
        """Pass on the results of batches."""
        assert self._on_result is not None, "the executor was not started"
        for results, notice in self._messages.feed(data):
            self._on_result(BatchResult(results, notice))

    def connection_lost(self, _error: Exception | None) -> None:
        """Record that the child has ended; exit where the child was not asked to end."""
        if not self._stopping:
            log.critical("writer_process_lost")
            os._exit(LOST_EXIT)  # Nothing more can be committed, so no request may be answered.
        self._ended.set()


@contextmanager
def fork_executor(open_runner: OpenRunner, *, prepare: Callable[[], None]) -> Iterator[ProcessExecutor]:
    """Fork a child process that runs batches; on leaving, it has ended. The child calls ``prepare`` before it starts.

    Call it before this process has a thread, an event loop or an open SQLite file: none of them survives a fork.
    """
    link, child_link = socket.socketpair()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        link.close()
        _child_main(child_link, open_runner, prepare)
    child_link.close()
    try:
        yield ProcessExecutor(link, child)
    finally:
        link.close()
        os.waitpid(child, 0)


def _child_main(link: socket.socket, open_runner: OpenRunner, prepare: Callable[[], None]) -> NoReturn:
    """Run the child process, from its start to its end."""
    status = LOST_EXIT
    try:
        for name in (
            signal.SIGTERM,
            signal.SIGINT,
        ):  # They are sent to the whole process group; the parent decides when to stop.
            signal.signal(name, signal.SIG_IGN)
        threading.excepthook = _end_process
        tune_gc()
        prepare()
        message, _shared, _, _ = socket.recv_fds(link, len(BEGIN), 1)
        if message:
            with open_runner() as runner:
                if isinstance(runner, NodeLanes):
                    _run_lanes(link, runner)
                else:
                    _run_batches(link, runner)
        status = 0
    except ConnectionError:  # The parent is gone.
        status = 0
    except BaseException:
        log.exception("writer_process_failed")
    finally:
        os._exit(status)


def _end_process(failure: threading.ExceptHookArgs) -> NoReturn:
    """End the process where one of its threads has failed: the parent would wait for its results for ever."""
    assert failure.exc_value is not None
    log.critical("writer_process_failed", exc_info=failure.exc_value)
    os._exit(LOST_EXIT)


def _run_batches(link: socket.socket, runner: BatchRunner) -> None:
    messages = _MessageDecoder()
    waiting: list[Job] = []
    more = True
    while more or waiting:
        while more and len(waiting) < runner.limit:
            try:
                data = link.recv(RECEIVED_BYTES_MAX, socket.MSG_DONTWAIT if waiting else 0)
            except BlockingIOError:
                break
            more = bool(data)
            waiting += _decode_jobs(messages, data)
        if waiting:
            link.sendall(_encode_result(runner.run(waiting[: runner.limit])))
            del waiting[: runner.limit]


def _run_lanes(link: socket.socket, lanes: NodeLanes) -> None:
    messages = _MessageDecoder()
    sending = Lock()

    def send(result: BatchResult) -> None:
        message = _encode_result(result)
        with sending, suppress(ConnectionError):  # The parent is gone. What it has asked for is committed all the same.
            link.sendall(message)

    lanes.start(send)
    while data := link.recv(RECEIVED_BYTES_MAX):
        lanes.dispatch(_decode_jobs(messages, data))
    lanes.stop()


def _decode_jobs(messages: _MessageDecoder, data: bytes) -> list[Job]:
    return [Job(*one) for jobs in messages.feed(data) for one in jobs]


def _encode_result(result: BatchResult) -> bytes:
    return _encode_message(([(number, _to_picklable(outcome)) for number, outcome in result.results], result.notice))


def _to_picklable(outcome: object) -> object:
    """Return an outcome that can be pickled. An exception of another library may not be."""
    if isinstance(outcome, Exception) and not isinstance(outcome, PaidonceError):
        return ActionFailed(f"{type(outcome).__name__}: see the log")
    return outcome
