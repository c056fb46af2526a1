"""The caller: has receivers called by a process of its own, so that nothing they do is felt in this one.

The process is started when the first call is due. Where it ends, its calls have failed, as if no answer had come, and
another takes its place after a pause that grows with each end.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import count
from typing import Final

import msgspec
import structlog

from paidonce.webhook_endpoints.receiver_messages import (
    OUTCOMES,
    Answer,
    Call,
    Check,
    Outcome,
    Post,
    ReceiverCallFailed,
    ReceiverSettings,
    receive,
    send,
)
from paidonce.webhook_endpoints.ssrf import UrlRefused, read_url

log = structlog.get_logger()

# ``-P``: nothing in the working directory can take a module's place.
COMMAND: Final = (sys.executable, "-P", "-m", "paidonce.webhook_endpoints.receiver_process")
# What Python, TLS and DNS need. The process that talks to receivers must not hold secrets.
ENVIRONMENT: Final = (
    *("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "TMPDIR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "RES_OPTIONS", "LOCALDOMAIN"),
)
TIMEOUTS_OF_A_CALL: Final = 2  # A call whose outcome is not known by then has failed.
# A process that owes an outcome and has sent none for so long hangs, and is replaced. It is much longer than a start
# takes: on an overloaded machine a process that is replaced while it starts would never make a call.
HANG_SECONDS: Final = 30.0
PAUSE_SECONDS_MIN: Final = 0.1
PAUSE_SECONDS_MAX: Final = 10.0
LOST: Final = "the process that calls receivers ended"


class ReceiverProcessClient:
    """Calls receivers. ``command`` starts the process: the number of its socket and the settings are put behind it."""

    def __init__(
        self, settings: ReceiverSettings, *, command: Sequence[str] = COMMAND, hang_seconds: float = HANG_SECONDS
    ) -> None:
        self._settings = settings
        self._command = command
        self._hang_seconds = hang_seconds
        self._numbers = count()
        self._starting = asyncio.Lock()
        self._process: _Process | None = None
        self._ends = 0  # Since the last answer.

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Post a body; raises ReceiverCallFailed."""
        process = await self._running()
        try:
            async with asyncio.timeout(self._settings.timeout_seconds * TIMEOUTS_OF_A_CALL):
                outcome = await process.do(Post(next(self._numbers), url, headers, body))
        except TimeoutError:
            if process.silent_seconds() >= self._hang_seconds:
                log.error("receiver_process_hangs", pid=process.pid)
                process.kill()
            raise ReceiverCallFailed(LOST) from None
        self._ends = 0
        if outcome.defect is not None:
            log.error("webhook_failed", url=url, defect=outcome.defect)
        if outcome.answer is None:
            raise ReceiverCallFailed(outcome.failed or outcome.refused or LOST)
        return outcome.answer

    async def check(self, url: str, *, seconds_max: float) -> None:
        """Raise UrlRefused where webhooks may not be sent; an address not known in time is checked with each call."""
        target = read_url(url, allow_private=self._settings.allow_private)
        if target.address is not None or self._settings.allow_private:
            return
        try:
            async with asyncio.timeout(seconds_max):
                process = await self._running()
                outcome = await process.do(Check(next(self._numbers), url, seconds_max))
        except (ReceiverCallFailed, TimeoutError):
            return
        if outcome.refused is not None:
            raise UrlRefused(outcome.refused)

    async def stop(self) -> None:
        """End the process. Nothing is to be called any more."""
        if self._process is not None:
            await self._process.end()

    async def _running(self) -> "_Process":
        """Return the process, started where there is none; raises ReceiverCallFailed."""
        async with self._starting:
            if self._process is not None and self._process.has_ended:
                await self._process.end()
                self._process = None
                await asyncio.sleep(min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN * 2**self._ends))
                self._ends = min(self._ends + 1, 16)
            if self._process is None:
                self._process = await _start(self._command, self._settings)
            return self._process


async def _start(command: Sequence[str], settings: ReceiverSettings) -> "_Process":
    link, other = socket.socketpair()
    with other:
        try:
            child = subprocess.Popen(  # noqa: ASYNC220, S603 - it returns at once; the command is ours
                [*command, str(other.fileno()), msgspec.json.encode(settings).decode()],
                pass_fds=[other.fileno()],
                stdin=subprocess.DEVNULL,
                env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
            )
        except OSError as error:
            link.close()
            log.error("receiver_process_not_started", cause=str(error))
            raise ReceiverCallFailed(LOST) from None
    reader, writer = await asyncio.open_unix_connection(sock=link)
    return _Process(child, reader, writer)


class _Process:
    """A process that runs, and the calls that are in its hands."""

    def __init__(
        self, child: "subprocess.Popen[bytes]", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.pid: Final = child.pid
        self._child = child
        self._reader = reader
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[Outcome]] = {}
        self._ending = False
        self._silent_since: float | None = None  # None while it owes no outcome.
        self._task = asyncio.create_task(self._read())

    @property
    def has_ended(self) -> bool:
        """Whether it does no more calls."""
        return self._task.done()

    def silent_seconds(self) -> float:
        """Return for how long it has owed an outcome and sent none."""
        return 0.0 if self._silent_since is None else time.monotonic() - self._silent_since

    async def do(self, call: Call) -> Outcome:
        """Have a call done; raises ReceiverCallFailed where the process ends before."""
        if self.has_ended:
            raise ReceiverCallFailed(LOST)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[call.number] = future
        if self._silent_since is None:
            self._silent_since = time.monotonic()
        try:
            send(self._writer, call)
            return await future
        finally:
            del self._waiting[call.number]

    async def _read(self) -> None:
        while (outcome := await receive(self._reader, OUTCOMES)) is not None:
            future = self._waiting.get(outcome.number)
            self._silent_since = time.monotonic() if len(self._waiting) > 1 else None
            if future is not None and not future.done():
                future.set_result(outcome)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ReceiverCallFailed(LOST))
        if not self._ending:
            log.error("receiver_process_lost", pid=self.pid, calls=len(self._waiting))

    def kill(self) -> None:
        """End it now, whatever it does."""
        self._child.kill()

    async def end(self) -> None:
        """Have it end, by having nothing more to read, and wait for it."""
        self._ending = True
        self._writer.close()
        self._child.kill()  # Its calls are not awaited.
        await asyncio.to_thread(self._child.wait)
        await self._task
