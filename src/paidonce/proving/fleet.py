"""The service processes of a proof, and the faults that are injected: kills, and stops that outlast a lease."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from paidonce.ids import Draw
from paidonce.proving.plan import LEASE_SECONDS, Plan
from paidonce.proving.processes import Process

# So many that one standby is always ready, however soon the next kill comes.
SERVERS_ON_SQLITE: Final = ("server-0", "server-1", "server-2")
STANDBY_SHARE: Final = 0.1  # The share of kills on SQLite that hit a standby.
WRITER_SHARE: Final = 0.25  # The share of kills that hit the writer process. Its server then exits too.
# The share of faults of a worker that stop it for longer than its lease instead of killing it.
STOP_SHARE: Final = 0.15


class Fleet:
    """On SQLite a server and its standbys, on PostgreSQL a server and workers. ``answers`` waits until the service
    responds.
    """

    def __init__(self, plan: Plan, settings: dict[str, str], answers: Callable[[], Awaitable[None]]) -> None:
        if plan.on_postgresql:
            arguments = {"server": ["serve", "--no-worker"]}
            arguments |= {f"worker-{number}": ["worker"] for number in range(plan.workers)}
        else:
            arguments = {name: ["serve", "--standby"] for name in SERVERS_ON_SQLITE}
        self.processes = [Process(name, what, settings, plan.folder) for name, what in arguments.items()]
        self.down_seconds = 0.0
        self._lock = None if plan.on_postgresql else Path(f"{plan.database.path}.lock")
        self._answers = answers
        self._resuming: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start all processes; returns when the service responds."""
        await self.processes[0].start()
        await self.processes[0].up()
        await self._answers()
        for process in self.processes[1:]:
            await process.start()

    async def inject_fault(self, draw: Draw) -> None:
        """Inject a fault that ``draw`` chooses; returns when the service responds."""
        serving = self._serving()
        if self._lock is not None:
            waiting = [one for one in self.processes if one is not serving]
            target = draw.choice(waiting) if draw.random() < STANDBY_SHARE else serving
            await self._kill(target, serving, draw)
            return
        target = draw.choice(self.processes)
        if target is not serving and draw.random() < STOP_SHARE:
            target.send(signal.SIGSTOP)
            self._resuming.add(asyncio.create_task(_continue_later(target)))
        else:
            await self._kill(target, serving, draw)

    async def recover(self) -> None:
        """Resume stopped processes and restart ended ones; returns when all are up."""
        await asyncio.gather(*self._resuming)
        for process in self.processes:
            if not process.running:
                await process.start()
        for process in self.processes:
            await process.up()

    async def end(self) -> None:
        """Stop all processes, the standbys first."""
        serving = self._serving()
        for process in sorted(self.processes, key=lambda one: one is serving):
            await process.end()

    def _serving(self) -> Process:
        """Return the process that serves: on SQLite the one whose id is in the lock file."""
        pid = self._lock.read_text() if self._lock is not None and self._lock.exists() else ""
        return next((one for one in self.processes if str(one.pid) == pid), self.processes[0])

    async def _kill(self, target: Process, serving: Process, draw: Draw) -> None:
        began = time.monotonic()
        await (target.kill_writer() if draw.random() < WRITER_SHARE else target.kill())
        await target.start()
        if target is serving:
            await self._answers()
            self.down_seconds += time.monotonic() - began


async def _continue_later(process: Process) -> None:
    await asyncio.sleep(LEASE_SECONDS * 1.5)
    process.send(signal.SIGCONT)
