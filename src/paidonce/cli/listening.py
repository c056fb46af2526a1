"""Listening: uvicorn and what stands behind it in one event loop, until a signal ends both in order."""

import asyncio
import resource
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import uvicorn
import uvloop
from litestar.types import ASGIApp

KEEP_ALIVE_SECONDS: Final = 75  # Longer than the usual 60 s of a proxy in front, so that it is the proxy that closes.
BACKLOG: Final = 2048


class Server(uvicorn.Server):
    """uvicorn, but signals are ours: the service behind it must end after it, and then the process with 0."""

    def __init__(self, config: uvicorn.Config, *, announce: Callable[[str], None]) -> None:
        super().__init__(config)
        self._announce = announce

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and then tell the URL."""
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        self._announce(f"http://{'localhost' if host in ('127.0.0.1', '::1') else host}:{port}")


def make_server(app: ASGIApp, *, host: str, port: int, grace_seconds: float, announce: Callable[[str], None]) -> Server:
    """Make a server for an application; ``announce`` is handed its URL when it listens."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http="httptools",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(grace_seconds)),
    )
    return Server(config, announce=announce)


def allow_many_connections() -> None:
    """Let this process have as many open connections as the system lets it: the usual 1,024 are few for streams."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # Some systems name a limit that they do not grant.
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def run(main: Coroutine[None, None, None]) -> None:
    """Run a process's one coroutine."""
    uvloop.run(main)


def on_signal(stop: Callable[[], None]) -> None:
    """Call ``stop`` on SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
