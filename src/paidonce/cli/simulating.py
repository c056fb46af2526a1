"""``paidonce simulator``: the simulated provider as a process of its own, with books that it alone keeps."""

from pathlib import Path

import click
import msgspec
import structlog

from paidonce.cli.listening import Server, on_signal, run
from paidonce.cli.logs import configure_logs
from paidonce.cli.opening import failing_clearly
from paidonce.clock import system_clock
from paidonce.database.batcher import threaded_batcher
from paidonce.database.engine import open_database
from paidonce.database_url import DatabaseUrl
from paidonce.ids import system_chance
from paidonce.providers.simulator.books import make_books
from paidonce.providers.simulator.sender import WebhookSender
from paidonce.providers.simulator.server import create_simulator_app
from paidonce.providers.simulator.simulation import Rules, Simulation, tell_nobody
from paidonce.settings import Settings
from paidonce.signing import read_secret

log = structlog.get_logger()

QUEUE_LIMIT = 10_000
BATCH_LIMIT = 256
GRACE_SECONDS = 1.0  # Answers that are never sent would otherwise hold a stop up.


class SimulatorOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command was told; ``webhook_secret`` is never shown."""

    port: int
    books: Path
    rules: Rules
    webhook_url: str
    webhook_secret: str


def run_simulator(settings: Settings, options: SimulatorOptions) -> None:
    """Serve the provider's calls until SIGTERM or SIGINT."""
    if options.webhook_url:
        _refuse_a_bad_secret(options.webhook_secret)
    configure_logs(settings)
    with failing_clearly(str(options.books)):
        run(_serve(settings, options))


def _refuse_a_bad_secret(secret: str) -> None:
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
    simulation = Simulation(bookkeeper, options.rules, tell=sender.tell if sender else tell_nobody)
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
