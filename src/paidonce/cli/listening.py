"""Runs the HTTP server (Granian) in this process and its event loop, until a signal stops it."""

import asyncio
import ipaddress
import resource
import signal
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog
import uvloop
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.server.embed import Server as GranianServer
from starlette.types import ASGIApp, Receive, Scope, Send

from paidonce.cli.errors import CannotListen
from paidonce.gc_tuning import tune_gc
from paidonce.settings import Settings

log = structlog.get_logger()

BACKLOG: Final = 2048
HEAD_BUFFER_BYTES: Final = 16 * 1024
GRACE_SECONDS_MIN: Final = 1.0
RESERVED_FILES: Final = 128  # For the database and the provider, with room to spare.
LISTEN_POLL_SECONDS: Final = 0.005
CANCEL_SECONDS_MAX: Final = 1.0  # For cancelled requests to end.


class Server:
    """Serves an application over HTTP/1.1 until ``stop``. ``announce`` is called with its URL when it is listening.

    This class adds what Granian lacks: it refuses a port that is in use, it can choose a free port, and a stop waits
    ``grace_seconds`` for requests in flight and then cancels them.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        *,
        host: str,
        port: int,
        grace_seconds: float,
        announce: Callable[[str], None],
    ) -> None:
        self._app = app
        self._settings = settings
        self._host = host
        self._port = port
        self._grace_seconds = max(grace_seconds, GRACE_SECONDS_MIN)
        self._announce = announce
        self._stopping = asyncio.Event()
        self._in_flight: set[asyncio.Task[object]] = set()

    def stop(self) -> None:
        """Stop ``serve``: requests in flight may finish within the grace period, and no new ones are accepted."""
        self._stopping.set()

    async def serve(self) -> None:
        """Listen and serve until stopped. Raises CannotListen."""
        with await _reserve_port(self._host, self._port) as reserved:
            address, port = reserved.getsockname()[:2]
            server = self._granian(address, port)
            serving = asyncio.create_task(server.serve())
            stopping = asyncio.create_task(self._stopping.wait())
            try:
                await _wait_until_listening(address, port, serving)
                self._announce(self._url(address, port))
                await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.cancel()
                server.stop()
                await self._end(serving)

    async def _end(self, serving: "asyncio.Task[None]") -> None:
        await asyncio.wait({serving}, timeout=self._grace_seconds)
        if self._in_flight:
            log.warning("requests_cancelled", count=len(self._in_flight))
            for task in self._in_flight:
                task.cancel()
            await asyncio.wait(self._in_flight, timeout=CANCEL_SECONDS_MAX)
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None, "the server calls an application in a task"
        self._in_flight.add(task)
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_flight.discard(task)

    def _granian(self, address: str, port: int) -> GranianServer:
        settings = self._settings
        return GranianServer(
            self._answer,
            address=address,
            port=port,
            interface=Interfaces.ASGINL,  # The caller opens and closes the service.
            http=HTTPModes.http1,  # With "auto", an idle connection would never time out.
            websockets=False,
            backlog=BACKLOG,
            backpressure=_raise_file_limit(settings.connection_limit),
            log_enabled=False,
            http1_settings=HTTP1Settings(
                header_read_timeout=round(settings.header_seconds_or_default * 1000), max_buffer_size=HEAD_BUFFER_BYTES
            ),
            ssl_cert=Path(settings.tls_certificate) if settings.tls_certificate else None,
            ssl_key=Path(settings.tls_key) if settings.tls_key else None,
            ssl_protocol_min=SSLProtocols.tls12,
        )

    def _url(self, address: str, port: int) -> str:
        scheme = "https" if self._settings.tls_certificate else "http"
        host = "localhost" if ipaddress.ip_address(address).is_loopback else address
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


async def _reserve_port(host: str, port: int) -> socket.socket:
    """Bind the port with a socket that does not listen, and that the server will share. Raises CannotListen.

    The server sets SO_REUSEPORT, which would let a second process share the port silently. A bind without SO_REUSEPORT
    refuses a port that is in use.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # A name such as localhost has addresses of both families, and the server listens on one.
        family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            address = probe.getsockname()
        reserved = socket.socket(family)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(address)
    except OSError as error:
        raise CannotListen(f"Cannot listen on {host}:{port}: {error}") from error
    return reserved


async def _wait_until_listening(address: str, port: int, serving: "asyncio.Task[None]") -> None:
    """Try to connect until the server is listening. Raises the error that stopped the server."""
    if ipaddress.ip_address(address).is_unspecified:
        address = "::1" if ":" in address else "127.0.0.1"
    while True:
        if serving.done():
            serving.result()
            raise CannotListen(f"Cannot listen on {address}:{port}.")
        try:
            _, writer = await asyncio.open_connection(address, port)
        except OSError:
            await asyncio.sleep(LISTEN_POLL_SECONDS)
            continue
        writer.close()
        return


def _raise_file_limit(connections: int) -> int:
    """Raise the limit of open files as far as allowed; returns how many connections it leaves room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < connections + RESERVED_FILES:
        wanted = connections + RESERVED_FILES
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return connections if soft == resource.RLIM_INFINITY else max(1, min(connections, soft - RESERVED_FILES))


def run(main: Coroutine[None, None, None]) -> None:
    """Run the main coroutine of a process."""
    tune_gc()
    uvloop.run(main)


def on_signal(stop: Callable[[], None]) -> None:
    """Call ``stop`` on SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
