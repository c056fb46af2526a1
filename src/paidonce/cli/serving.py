"""Serving: uvicorn and the service in one event loop, from the first line on the terminal to a clean end."""

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager

import click
import structlog
import uvicorn
import uvloop

from paidonce.api.web import create_web_app
from paidonce.app import open_service
from paidonce.cli.logs import configure_logs
from paidonce.cli.opening import failing_clearly
from paidonce.settings import Settings

log = structlog.get_logger()

KEEP_ALIVE_SECONDS = 75  # Longer than the usual 60 s of a proxy in front, so that it is the proxy that closes.
BACKLOG = 2048


class Server(uvicorn.Server):
    """uvicorn, but signals are ours: the service behind it must end after it, and then the process with 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and then tell where."""
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        _announce(host, port)


def run_server(settings: Settings, *, with_worker: bool, migrating: bool) -> None:
    """Serve until SIGTERM or SIGINT."""
    configure_logs(settings)
    with failing_clearly(settings.database.shown):
        _run(_serve(settings, with_worker=with_worker, migrating=migrating))


def run_worker(settings: Settings) -> None:
    """Settle payments until SIGTERM or SIGINT."""
    if settings.database.dialect == "sqlite":
        raise click.UsageError("A SQLite file has one process: `paidonce serve` runs its worker. Or use PostgreSQL.")
    configure_logs(settings)
    with failing_clearly(settings.database.shown):
        _run(_work(settings))


def _run(main: Coroutine[None, None, None]) -> None:
    uvloop.run(main)


async def _serve(settings: Settings, *, with_worker: bool, migrating: bool) -> None:
    async with open_service(settings, with_worker=with_worker, migrating=migrating) as service:
        config = uvicorn.Config(
            create_web_app(service),
            host=settings.host,
            port=settings.port,
            http="httptools",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=True,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
        )
        server = Server(config)

        def stop() -> None:
            service.watch.close()
            server.should_exit = True

        _on_signal(stop)
        log.info("serving", database=settings.database.shown, worker=with_worker)
        await server.serve()
    log.info("stopped")


async def _work(settings: Settings) -> None:
    stopping = asyncio.Event()
    _on_signal(stopping.set)
    async with open_service(settings, with_worker=True, migrating=False):
        log.info("working", database=settings.database.shown)
        await stopping.wait()
    log.info("stopped")


def _on_signal(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)


def _announce(host: str, port: int) -> None:
    url = f"http://{'localhost' if host in ('127.0.0.1', '::1') else host}:{port}"
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
