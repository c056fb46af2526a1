"""The server: listens, looks after its connections, and ends in order."""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

import structlog

from paidonce.clock import system_clock
from paidonce.web.clients import Clients
from paidonce.web.connection import Connection

log = structlog.get_logger()

BACKLOG: Final = 2048
LOOK_SECONDS: Final = 0.5
LAST_LOOK_SECONDS: Final = 0.02  # While it waits for the last answers.
CANCEL_SECONDS_MAX: Final = 1.0  # For what was cancelled to notice.


class CannotListen(Exception):
    """The address is taken, or is none of this machine's."""


class Server:
    """Serves clients over HTTP/1.1 until it is told to ``stop``; ``announce`` is handed its URL when it listens."""

    def __init__(
        self, clients: Clients, *, host: str, port: int, grace_seconds: float, announce: Callable[[str], None]
    ) -> None:
        self._clients = clients
        self._host = host
        self._port = port
        self._grace_seconds = grace_seconds
        self._announce = announce
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let ``serve`` end: what is being answered is, within the grace; nothing new is taken."""
        self._stopping.set()

    async def serve(self) -> None:
        """Listen and serve; returns when it has stopped. Raises CannotListen."""
        self._clients.tell_time(system_clock())
        loop = asyncio.get_running_loop()
        try:
            listening = await loop.create_server(
                lambda: Connection(self._clients), self._host, self._port, backlog=BACKLOG
            )
        except OSError as error:
            raise CannotListen(f"{self._host}:{self._port} cannot be listened on: {error}") from error
        self._announce(_url_of(listening.sockets[0]))
        try:
            await self._look_after_clients()
        finally:
            listening.close()
            await self._end_clients()

    async def _look_after_clients(self) -> None:
        while not self._stopping.is_set():
            self._look()
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    def _look(self) -> None:
        self._clients.tell_time(system_clock())
        now = asyncio.get_running_loop().time()
        for connection in list(self._clients.connections):
            connection.look(now)

    async def _end_clients(self) -> None:
        loop = asyncio.get_running_loop()
        clients, until = self._clients, loop.time() + self._grace_seconds
        for connection in list(clients.connections):
            connection.stop()
        while (clients.connections or clients.tasks) and loop.time() < until:
            await asyncio.sleep(LAST_LOOK_SECONDS)
            self._look()
        if clients.tasks:
            log.warning("answers_cancelled", count=len(clients.tasks))
            for task in clients.tasks:
                task.cancel()
            await asyncio.wait(clients.tasks, timeout=CANCEL_SECONDS_MAX)
        for connection in list(clients.connections):
            connection.abort()


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    if host in ("127.0.0.1", "::1"):
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
