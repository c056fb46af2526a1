"""Listening: uvicorn and what stands behind it in one event loop, until a signal ends both in order."""

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
import uvloop

from paidonce.api.connection import Connection, ConnectionConfig
from paidonce.settings import Settings
from paidonce.web.asgi import ASGIApp

KEEP_ALIVE_SECONDS: Final = 75  # Longer than the usual 60 s of a proxy in front, so that it is the proxy that closes.
BACKLOG: Final = 2048
COLLECTOR_THRESHOLDS: Final = (20_000, 20, 50)  # Python's own are 700, 10, 10; these save a tenth of a request's CPU.
TICKS_BETWEEN_LOOKS: Final = 5  # uvicorn's tick is a tenth of a second.
OWN_FILES: Final = 128  # The database's and the provider's, and room to spare: clients must not starve them.


class Server(uvicorn.Server):
    """uvicorn, but signals are ours: the service behind it must end after it, and then the process with 0."""

    def __init__(self, config: uvicorn.Config, *, announce: Callable[[str], None]) -> None:
        super().__init__(config)
        self._announce = announce

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Look at every connection now and then, as well as at what uvicorn looks at."""
        if counter % TICKS_BETWEEN_LOOKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                assert isinstance(connection, Connection)
                connection.look(now)
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and then tell the URL."""
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        self._announce(f"http://{'localhost' if host in ('127.0.0.1', '::1') else host}:{port}")


def make_server(
    app: ASGIApp, settings: Settings, *, host: str, port: int, grace_seconds: float, announce: Callable[[str], None]
) -> Server:
    """Make a server for an application; ``announce`` is handed its URL when it listens."""
    config = ConnectionConfig(
        app,
        host=host,
        port=port,
        http=Connection,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(grace_seconds)),
        # Whoever is not named here can write any address into X-Forwarded-For.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
    )
    config.header_seconds = settings.header_seconds
    config.body_seconds = settings.body_seconds
    config.connection_limit = _make_room_for_files(settings.connection_limit)
    return Server(config, announce=announce)


def _make_room_for_files(connections: int) -> int:
    """Raise the process's limit of open files as far as it may be; returns how many connections there is room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < connections + OWN_FILES:
        wanted = connections + OWN_FILES
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return connections if soft == resource.RLIM_INFINITY else max(1, min(connections, soft - OWN_FILES))


def run(main: Coroutine[None, None, None]) -> None:
    """Run a process's one coroutine."""
    # What is imported by now stays: the collector need not look at it again. A payment under way is some dozens of
    # objects that it would look at in vain, thousands of times.
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    uvloop.run(main)


def on_signal(stop: Callable[[], None]) -> None:
    """Call ``stop`` on SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
