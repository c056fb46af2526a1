"""``paidonce simulator``: runs the simulated provider as a separate process with its own books."""

from pathlib import Path

import click
import msgspec
import structlog

from paidonce.cli.listening import Server, on_signal, run
from paidonce.cli.logs import configure_logs
from paidonce.cli.opening import exit_on_failure
from paidonce.clock import system_clock
from paidonce.database.batcher import threaded_batcher
from paidonce.database.engine import open_database
from paidonce.database_url import DatabaseUrl
from paidonce.ids import system_chance
from paidonce.providers.simulator.books import make_books
from paidonce.providers.simulator.calls import Rules, send_nothing
from paidonce.providers.simulator.sender import WebhookSender
from paidonce.providers.simulator.server import create_simulator_app
from paidonce.providers.simulator.simulation import Simulation
from paidonce.settings import Settings
from paidonce.signing import read_secret

log = structlog.get_logger()

QUEUE_LIMIT = 10_000
BATCH_LIMIT = 256
GRACE_SECONDS = 1.0  # Answers that are never sent would otherwise delay a stop.


class SimulatorOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the command. ``webhook_secret`` is never printed."""

    port: int
    books: Path
    rules: Rules
    webhook_url: str
    webhook_secret: str


def run_simulator(settings: Settings, options: SimulatorOptions) -> None:
    """Serve until SIGTERM or SIGINT."""
    if options.webhook_url:
        _require_valid_secret(options.webhook_secret)
    configure_logs(settings)
    with exit_on_failure(str(options.books)):
        run(_serve(settings, options))


def _require_valid_secret(secret: str) -> None:
    try:
        read_secret(secret)
    except ValueError as error:
        message = f"--webhook-url needs --webhook-secret, or PAIDONCE_SIMULATOR_WEBHOOK_SECRET: {error}."
        raise click.UsageError(message) from None


async def _serve(settings: Settings, options: SimulatorOptions) -> None:
    books = open_database(DatabaseUrl("sqlite", path=options.books), clock=system_clock, exclusive=False)
    make_books(books)
    bookkeeper = threaded_batcher(
        books.write, name="simulator", queue_limit=QUEUE_LIMIT, batch_limit=BATCH_LIMIT, chance=system_chance
    )
    await bookkeeper.start()
    sender = (
        WebhookSender(options.webhook_url, options.webhook_secret, clock=system_clock) if options.webhook_url else None
    )
    simulation = Simulation(bookkeeper, options.rules, send_webhook=sender.send_webhook if sender else send_nothing)
    server = Server(
        create_simulator_app(simulation),
        settings,
        host="127.0.0.1",
        port=options.port,
        grace_seconds=GRACE_SECONDS,
        announce=lambda url: click.echo(f"\nthe simulator is at  {url}\nits records are in   {options.books}\n"),
    )
    on_signal(server.stop)
    try:
        await server.serve()
    finally:
        await simulation.close()
        if sender:
            await sender.close()
        await bookkeeper.stop()
        books.close()
    log.info("stopped")
