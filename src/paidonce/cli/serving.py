"""Serving: the API and the service in one process, from the first line on the terminal to a clean end."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from typing import Final, TypeAlias

import click
import structlog

from paidonce.app import forked_writer, open_service, preload_server
from paidonce.cli.file_access import warn_of_open_files
from paidonce.cli.listening import Server, on_signal, run
from paidonce.cli.logs import configure_logs
from paidonce.cli.opening import failing_clearly
from paidonce.errors import DatabaseInUse
from paidonce.http.app import create_web_app
from paidonce.http.routes import ROUTES
from paidonce.http.service import render_pages
from paidonce.service import Service
from paidonce.settings import Settings

log = structlog.get_logger()

Opened: TypeAlias = Callable[[], AbstractAsyncContextManager[Service]]
"""Opens the service; raises DatabaseInUse where another has its file."""

STANDBY_POLL_SECONDS: Final = 0.02  # A look at a file's lock costs microseconds.


def run_server(settings: Settings, *, with_worker: bool, migrating: bool, standby: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; a ``standby`` waits until nobody serves the SQLite file any more."""
    if standby and settings.database.path is None:
        raise click.UsageError(
            "--standby is for a SQLite file, which has one server at a time. On PostgreSQL run several servers."
        )
    configure_logs(settings)
    warn_of_open_files(settings)
    with failing_clearly(settings.database.shown), forked_writer(settings) as writer_process:
        opened = partial(
            open_service, settings, with_worker=with_worker, migrating=migrating, writer_process=writer_process
        )
        run(_serve(settings, opened, with_worker=with_worker, standby=standby))


def run_worker(settings: Settings) -> None:
    """Settle payments until SIGTERM or SIGINT."""
    if settings.database.dialect == "sqlite":
        raise click.UsageError(
            "A SQLite file can be used by one server only: `paidonce serve` runs the worker. Or use PostgreSQL."
        )
    configure_logs(settings)
    warn_of_open_files(settings)
    with failing_clearly(settings.database.shown), forked_writer(settings) as writer_process:
        run(_work(settings, partial(open_service, settings, with_worker=True, writer_process=writer_process)))


async def _serve(settings: Settings, opened: Opened, *, with_worker: bool, standby: bool) -> None:
    async with AsyncExitStack() as stack:
        service = await _open(stack, settings, opened, standby=standby)
        if service is None:
            return
        server = Server(
            create_web_app(service),
            settings,
            host=settings.host,
            port=settings.port,
            grace_seconds=settings.shutdown_seconds,
            announce=_announce_open if settings.auth == "off" else _announce_closed,
        )

        def stop() -> None:
            service.drain()
            server.stop()

        on_signal(stop)
        log.info("serving", database=settings.database.shown, worker=with_worker, writer_pid=service.writer.pid)
        await server.serve()
    log.info("stopped")


async def _open(stack: AsyncExitStack, settings: Settings, opened: Opened, *, standby: bool) -> Service | None:
    """Open the service on the stack, a standby's when the process before it has ended; None where it is to end too."""
    stopping = asyncio.Event()
    on_signal(stopping.set)
    waits = False
    while not stopping.is_set():
        try:
            return await stack.enter_async_context(opened())
        except DatabaseInUse:
            if not standby:
                raise
        if not waits:
            waits = True
            preload_server(settings)
            render_pages(ROUTES)
            log.info("standing_by", database=settings.database.shown)
        await asyncio.sleep(STANDBY_POLL_SECONDS)
    return None


async def _work(settings: Settings, opened: Opened) -> None:
    stopping = asyncio.Event()
    on_signal(stopping.set)
    async with opened() as service:
        log.info("working", database=settings.database.shown, writer_pid=service.writer.pid)
        await stopping.wait()
    log.info("stopped")


def _announce_open(url: str) -> None:
    click.echo(
        f"""
paidonce is at     {url}
documentation at   {url}/docs

  curl -X POST {url}/checkouts \\
    -H "Content-Type: application/json" \\
    -d '{{"merchantId":"m123","amount":1000,"currency":"USD","idempotencyKey":"abc123"}}'
  curl {url}/checkouts/<checkout_id>
  curl -X POST {url}/checkouts/<checkout_id>/pay
"""
    )


def _announce_closed(url: str) -> None:
    click.echo(
        f"""
paidonce is at     {url}
documentation at   {url}/docs

Every call needs an API key. Create one with
  paidonce merchants create m123
  paidonce keys create m123

  curl -X POST {url}/checkouts \\
    -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\
    -d '{{"amount":1000,"currency":"USD","idempotencyKey":"abc123"}}'
"""
    )
