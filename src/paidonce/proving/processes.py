"""The processes of a proof: started, killed, stopped and resumed by their ids, and always cleaned up."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
from pathlib import Path
from typing import Final

from paidonce.ids import system_chance

START_SECONDS_MAX: Final = 120.0  # On a machine that does ten times as much as it can.
PORTS: Final = range(16_000, 32_000)  # Outgoing connections get higher ones: from 32,768 on Linux, 49,152 on macOS.
UP: Final = (b'"event": "serving"', b'"event": "working"', b'"event": "standing_by"')
WRITER: Final = re.compile(rb'"writer_pid": (\d+)')


class Process:
    """One process that runs ``paidonce …``, or another module, until it is killed or ended."""

    def __init__(
        self, name: str, arguments: list[str], environment: dict[str, str], folder: Path, *, module: str = "paidonce"
    ) -> None:
        self.name = name
        self.kills = 0
        self.writer_kills = 0  # The kills that hit the writer process.
        self.stops = 0
        self._module = module
        self._arguments = arguments
        self._environment = environment
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._log = folder / f"{name}.log"
        self._log_bytes = 0  # The size of the log at the latest start.

    async def start(self) -> None:
        """Start it. Its output goes to a log file with its name."""
        with self._log.open("ab") as log:
            self._log_bytes = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self._module,
                *self._arguments,
                env={**os.environ, **self._environment},
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )

    async def up(self) -> None:
        """Wait until its log shows that it serves, works or stands by; raises TimeoutError, or RuntimeError where it
        has ended instead.
        """
        async with asyncio.timeout(START_SECONDS_MAX):
            while not any(event in self._log.read_bytes()[self._log_bytes :] for event in UP):
                if not self.running:
                    raise RuntimeError(self._failure())
                await asyncio.sleep(0.02)

    @property
    def pid(self) -> int | None:
        """Its process id, once it has been started."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.returncode is None

    def send(self, what: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.running and self._process is not None:
            self.kills += what is signal.SIGKILL
            self.stops += what is signal.SIGSTOP
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(what)

    async def kill(self) -> None:
        """Kill it, and wait until it has ended."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    async def kill_writer(self) -> None:
        """Kill its writer process, and wait until it has exited because of that."""
        pid = self._writer_pid()
        if pid is None:
            await self.kill()
        elif self.running and self._process is not None:
            self.kills += 1
            self.writer_kills += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            await self._process.wait()

    def _writer_pid(self) -> int | None:
        """Return the id of its writer process from the log; None before it is known."""
        found = WRITER.search(self._log.read_bytes(), self._log_bytes)
        return int(found[1]) if found else None

    async def wait_for_exit(self) -> None:
        """Wait until it has finished; raises RuntimeError where it fails."""
        assert self._process is not None, "it was not started"
        if await asyncio.wait_for(self._process.wait(), START_SECONDS_MAX):
            raise RuntimeError(self._failure())

    def _failure(self) -> str:
        return f"{self.name} failed: see {self._log}"

    async def end(self) -> int:
        """Stop it, and kill it where it does not stop; returns its exit code."""
        if self._process is None:
            return 0
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self._process.wait(), START_SECONDS_MAX)
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()


def free_port() -> int:
    """Return a free port on loopback, for a process that must be known by it before it listens, or while it is down.

    It is none of those that the system gives to outgoing connections, one of which could take it meanwhile.
    """
    while True:
        port = PORTS[int(system_chance() * len(PORTS))]
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
