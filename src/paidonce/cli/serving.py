"""Serving: the API and the service in one process, from the first line on the terminal to a clean end."""

import asyncio

import click
import structlog

from paidonce.api.web import create_web_app
from paidonce.app import open_service
from paidonce.cli.listening import allow_many_connections, make_server, on_signal, run
from paidonce.cli.logs import configure_logs
from paidonce.cli.opening import failing_clearly
from paidonce.settings import Settings

log = structlog.get_logger()


def run_server(settings: Settings, *, with_worker: bool, migrating: bool) -> None:
    """Serve until SIGTERM or SIGINT."""
    configure_logs(settings)
    allow_many_connections()
    with failing_clearly(settings.database.shown):
        run(_serve(settings, with_worker=with_worker, migrating=migrating))


def run_worker(settings: Settings) -> None:
    """Settle payments until SIGTERM or SIGINT."""
    if settings.database.dialect == "sqlite":
        raise click.UsageError("A SQLite file has one process: `paidonce serve` runs its worker. Or use PostgreSQL.")
    configure_logs(settings)
    with failing_clearly(settings.database.shown):
        run(_work(settings))


async def _serve(settings: Settings, *, with_worker: bool, migrating: bool) -> None:
    async with open_service(settings, with_worker=with_worker, migrating=migrating) as service:
        server = make_server(
            create_web_app(service),
            host=settings.host,
            port=settings.port,
            grace_seconds=settings.shutdown_seconds,
            announce=_announce,
        )

        def stop() -> None:
            service.hurry()
            server.should_exit = True

        on_signal(stop)
        log.info("serving", database=settings.database.shown, worker=with_worker)
        await server.serve()
    log.info("stopped")


async def _work(settings: Settings) -> None:
    stopping = asyncio.Event()
    on_signal(stopping.set)
    async with open_service(settings, with_worker=True, migrating=False):
        log.info("working", database=settings.database.shown)
        await stopping.wait()
    log.info("stopped")


def _announce(url: str) -> None:
    click.echo(
        f"""
paidonce is at  {url}
its documents   {url}/docs

  curl -X POST {url}/checkouts \\
    -H "Content-Type: application/json" \\
    -d '{{"merchantId":"m123","amount":1000,"currency":"USD","idempotencyKey":"abc123"}}'
  curl {url}/checkouts/<checkout_id>
  curl -X POST {url}/checkouts/<checkout_id>/pay
"""
    )
