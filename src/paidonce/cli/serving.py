"""``paidonce dev``, ``serve`` and ``worker``: run the API and the service in one process until a signal."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from typing import Final, TypeAlias

import click
import structlog

from paidonce import ids
from paidonce.app import fork_writer, open_service, preload_server
from paidonce.cli.listening import Server, on_signal, run
from paidonce.cli.logs import configure_logs
from paidonce.cli.opening import exit_on_failure
from paidonce.cli.users import link_url
from paidonce.doctor.file_permissions import warn_about_file_permissions
from paidonce.errors import DatabaseInUse
from paidonce.http.meta import render_pages
from paidonce.http.routes import OPERATIONS
from paidonce.service import Service
from paidonce.settings import Settings
from paidonce.users.first_user import FirstLink, link_first_users
from paidonce.users.model import hash_token
from paidonce.web import create_web_app

log = structlog.get_logger()

OpenService: TypeAlias = Callable[[], AbstractAsyncContextManager[Service]]
"""Opens the service; raises DatabaseInUse where another process has its file."""

STANDBY_POLL_SECONDS: Final = 0.02  # Checking a file lock takes microseconds.


def run_server(settings: Settings, *, with_worker: bool, migrating: bool, standby: bool = False) -> None:
    """Serve until SIGTERM or SIGINT. A ``standby`` waits until no other process serves the SQLite file."""
    if standby and settings.database.path is None:
        raise click.UsageError(
            "--standby is for a SQLite file, which has one server at a time. On PostgreSQL run several servers."
        )
    configure_logs(settings)
    warn_about_file_permissions(settings)
    with exit_on_failure(settings.database.shown), fork_writer(settings) as writer_process:
        open_configured = partial(
            open_service, settings, with_worker=with_worker, migrating=migrating, writer_process=writer_process
        )
        run(_serve(settings, open_configured, with_worker=with_worker, migrating=migrating, standby=standby))


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


async def _serve(
    settings: Settings, open_configured: OpenService, *, with_worker: bool, migrating: bool, standby: bool
) -> None:
    async with AsyncExitStack() as stack:
        service = await _open(stack, settings, open_configured, standby=standby)
        if service is None:
            return
        link_token = await _first_link(service) if migrating else None
        server = Server(
            create_web_app(service),
            settings,
            host=settings.host,
            port=settings.port,
            grace_seconds=settings.shutdown_seconds,
            announce=partial(_announce, settings, link_token),
        )

        def stop() -> None:
            service.drain()
            server.stop()

        on_signal(stop)
        log.info("serving", database=settings.database.shown, worker=with_worker, writer_pid=service.writer.pid)
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


async def _first_link(service: Service) -> str | None:
    """Make the token of a one-time link to the dashboard, while nobody has logged in; None where it is not needed."""
    if service.settings.dashboard == "off":
        return None
    token = ids.new_token()
    wanted = FirstLink(ids.new_id(ids.USER), hash_token(token))
    return token if await service.writer.submit(link_first_users, wanted) else None


def _announce(settings: Settings, link_token: str | None, url: str) -> None:
    (_announce_without_keys if settings.auth == "off" else _announce_with_keys)(url)
    if link_token is not None:
        click.echo(f"Log in to the dashboard with this link, once, within 15 minutes:\n  {link_url(url, link_token)}\n")
    elif settings.dashboard == "on":
        click.echo(f"The dashboard is at {url}/dashboard. To log in: paidonce users link EMAIL\n")


def _announce_without_keys(url: str) -> None:
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


def _announce_with_keys(url: str) -> None:
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
