"""``paidonce dev``, ``serve`` and ``worker``: run the API and the service in one process until a signal."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from typing import Final, TypeAlias

import click
import msgspec
import structlog

from paidonce.app import fork_writer, open_service, preload_server
from paidonce.cli.announcing import Links, announce, make_links
from paidonce.cli.listening import Server, on_signal, run
from paidonce.cli.logs import configure_logs
from paidonce.cli.opening import exit_on_failure
from paidonce.doctor.file_permissions import warn_about_file_permissions
from paidonce.errors import DatabaseInUse
from paidonce.http.meta import render_pages
from paidonce.http.routes import OPERATIONS
from paidonce.service import Service
from paidonce.settings import Settings
from paidonce.web import PRELOAD_SECONDS, PRELOAD_SECONDS_DEV, open_web_app

log = structlog.get_logger()

OpenService: TypeAlias = Callable[[], AbstractAsyncContextManager[Service]]
"""Opens the service; raises DatabaseInUse where another process has its file."""

STANDBY_POLL_SECONDS: Final = 0.02  # Checking a file lock takes microseconds.


class ServerRole(msgspec.Struct, frozen=True, kw_only=True):
    """What a server does beside serving. A standby waits until no other process serves the SQLite file.

    ``is_for_development``: it migrates the database first, and prints links to start with. ``with_demo``: it makes a
    checkout to try the service with.
    """

    with_worker: bool = True
    is_standby: bool = False
    is_for_development: bool = False
    with_demo: bool = False


def run_server(settings: Settings, role: ServerRole) -> None:
    """Serve until SIGTERM or SIGINT."""
    if role.is_standby and settings.database.path is None:
        raise click.UsageError(
            "--standby is for a SQLite file, which has one server at a time. On PostgreSQL run several servers."
        )
    configure_logs(settings)
    warn_about_file_permissions(settings)
    with exit_on_failure(settings.database.shown), fork_writer(settings) as writer_process:
        open_configured = partial(
            open_service,
            settings,
            with_worker=role.with_worker,
            migrating=role.is_for_development,
            writer_process=writer_process,
        )
        run(_serve(settings, open_configured, role))


def run_worker(settings: Settings) -> None:
    """Settle payments until SIGTERM or SIGINT."""
    if settings.database.dialect == "sqlite":
        raise click.UsageError(
            "A SQLite file can be used by one server only: `paidonce serve` runs the worker. Or use PostgreSQL."
        )
    configure_logs(settings)
    warn_about_file_permissions(settings)
    with exit_on_failure(settings.database.shown), fork_writer(settings) as writer_process:
        run(_work(settings, partial(open_service, settings, with_worker=True, writer_process=writer_process)))


async def _serve(settings: Settings, open_configured: OpenService, role: ServerRole) -> None:
    async with AsyncExitStack() as stack:
        service = await _open(stack, settings, open_configured, standby=role.is_standby)
        if service is None:
            return
        links = await make_links(service, with_demo=role.with_demo) if role.is_for_development else Links()
        preload_seconds = PRELOAD_SECONDS_DEV if role.is_for_development else PRELOAD_SECONDS
        web_app = await stack.enter_async_context(open_web_app(service, preload_after_seconds=preload_seconds))
        server = Server(
            web_app,
            settings,
            host=settings.host,
            port=settings.port,
            grace_seconds=settings.shutdown_seconds,
            announce=partial(announce, settings, links),
        )

        def stop() -> None:
            service.drain()
            server.stop()

        on_signal(stop)
        log.info("serving", database=settings.database.shown, worker=role.with_worker, writer_pid=service.writer.pid)
        await server.serve()
    log.info("stopped")


async def _open(
    stack: AsyncExitStack, settings: Settings, open_configured: OpenService, *, standby: bool
) -> Service | None:
    """Open the service on the stack; a standby first waits for the other process to end. Returns None where it is
    stopped.
    """
    stopping = asyncio.Event()
    on_signal(stopping.set)
    is_waiting = False
    while not stopping.is_set():
        try:
            return await stack.enter_async_context(open_configured())
        except DatabaseInUse:
            if not standby:
                raise
        if not is_waiting:
            is_waiting = True
            preload_server(settings)
            render_pages(OPERATIONS)
            log.info("standing_by", database=settings.database.shown)
        await asyncio.sleep(STANDBY_POLL_SECONDS)
    return None


async def _work(settings: Settings, open_configured: OpenService) -> None:
    stopping = asyncio.Event()
    on_signal(stopping.set)
    async with open_configured() as service:
        log.info("working", database=settings.database.shown, writer_pid=service.writer.pid)
        await stopping.wait()
    log.info("stopped")
