"""Listening: uvicorn and what stands behind it in one event loop, until a signal ends both in order."""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
import uvloop

from paidonce.web.asgi import ASGIApp

KEEP_ALIVE_SECONDS: Final = 75  # Longer than the usual 60 s of a proxy in front, so that it is the proxy that closes.
BACKLOG: Final = 2048
COLLECTOR_THRESHOLDS: Final = (20_000, 20, 50)  # Python's own are 700, 10, 10; these save a tenth of a request's CPU.


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
        ws="none",
        lifespan="off",
        proxy_headers=False,
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(grace_seconds)),
    )
    return Server(config, announce=announce)


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
