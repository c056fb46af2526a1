"""Listening: the server and what stands behind it in one event loop, until a signal ends both in order."""

import asyncio
import resource
import signal
from collections.abc import Callable, Coroutine
from typing import Final

import uvloop

from paidonce.api.problems import tell_problem
from paidonce.collector import calm_collector
from paidonce.settings import Settings
from paidonce.web.application import Application
from paidonce.web.clients import Clients
from paidonce.web.proxies import Proxies
from paidonce.web.server import Server

GRACE_SECONDS_MIN: Final = 1.0
OWN_FILES: Final = 128  # The database's and the provider's, and room to spare: clients must not starve them.


def make_server(
    app: Application, settings: Settings, *, host: str, port: int, grace_seconds: float, announce: Callable[[str], None]
) -> Server:
    """Make a server for an application; ``announce`` is handed its URL when it listens."""
    clients = Clients(
        app.answer,
        tell_problem,
        header_seconds=settings.header_seconds,
        body_seconds=settings.body_seconds,
        connection_limit=_make_room_for_files(settings.connection_limit),
        connections_per_address=settings.connections_per_address,
        proxies=Proxies(settings.trusted_proxies) if settings.trusted_proxies else None,
    )
    grace_seconds = max(grace_seconds, GRACE_SECONDS_MIN)
    return Server(clients, host=host, port=port, grace_seconds=grace_seconds, announce=announce)


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
    calm_collector()
    uvloop.run(main)


def on_signal(stop: Callable[[], None]) -> None:
    """Call ``stop`` on SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
