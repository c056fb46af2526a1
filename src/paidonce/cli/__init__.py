"""The commands. Each imports what it needs when it runs, so that ``--help`` is quick."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from paidonce import __version__
from paidonce.cli.key_commands import keys, merchants

if TYPE_CHECKING:
    from paidonce.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

BAD_SETTINGS_EXIT = 2

FIRST_STEPS: Final = """\
\b
To try it:         paidonce dev                 then open http://localhost:3000/docs
To serve with keys:
  export PAIDONCE_AUTH=keys
  paidonce db upgrade
  paidonce merchants create m123
  paidonce keys create m123
  paidonce serve --host 0.0.0.0
To check a set-up: paidonce doctor              and paidonce prove
"""


def listening(command: Command) -> Command:
    """Add ``--host`` and ``--port`` to a command that listens."""
    host = click.option("--host", help="Address to listen on; HOST if absent, else 127.0.0.1.")
    port = click.option("--port", type=click.IntRange(0, 65535), help="Port; PORT if absent, else 3000; 0: a free one.")
    return host(port(command))


def read_settings(**options: str | None) -> "Settings":
    """Read the settings, or name every problem and exit with 2. Options are named as in the environment and win."""
    import os

    from paidonce.errors import InvalidSettings
    from paidonce.settings import load_settings

    try:
        given = {name: value for name, value in options.items() if value is not None}
        return load_settings({**os.environ, **given}, Path(".env"))
    except InvalidSettings as error:
        click.echo("paidonce cannot start like this:", err=True)
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
        raise SystemExit(BAD_SETTINGS_EXIT) from None


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, epilog=FIRST_STEPS)
@click.version_option(__version__, prog_name="paidonce")
def main() -> None:
    """Checkouts and payments: one purchase, one charge.

    Settings come from the environment and from .env; see docs/reference/settings.md.
    """


main.add_command(merchants)
main.add_command(keys)


@main.command()
@listening
def dev(*, host: str | None, port: int | None) -> None:
    """Migrate, then serve API, worker and simulator."""
    from paidonce.cli.serving import run_server

    settings = read_settings(HOST=host, PORT=None if port is None else str(port))
    run_server(settings, with_worker=True, migrating=True)


@main.command()
@listening
@click.option("--worker/--no-worker", default=True, help="Whether this process also settles payments.")
@click.option("--tls-certificate", metavar="FILE", help="Certificate and chain; PAIDONCE_TLS_CERTIFICATE if absent.")
@click.option("--tls-key", metavar="FILE", help="The certificate's private key; PAIDONCE_TLS_KEY if absent.")
@click.option("--standby", is_flag=True, help="Waits while another serves the SQLite file, and then takes its place.")
def serve(
    *,
    host: str | None,
    port: int | None,
    worker: bool,
    tls_certificate: str | None,
    tls_key: str | None,
    standby: bool,
) -> None:
    """Serve the API from a database that is migrated."""
    from paidonce.cli.serving import run_server

    settings = read_settings(
        HOST=host,
        PORT=None if port is None else str(port),
        PAIDONCE_TLS_CERTIFICATE=tls_certificate,
        PAIDONCE_TLS_KEY=tls_key,
    )
    run_server(settings, with_worker=worker, migrating=False, standby=standby)


@main.command()
def worker() -> None:
    """Settle payments beside servers that run with --no-worker (PostgreSQL)."""
    from paidonce.cli.serving import run_worker

    run_worker(read_settings())


@main.group()
def db() -> None:
    """Look after the database's schema."""


@db.command()
def upgrade() -> None:
    """Bring the schema up to this release."""
    from paidonce.cli.schema import upgrade_schema

    upgrade_schema(read_settings())


@db.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def status(*, as_json: bool) -> None:
    """Tell which migration the database has; exit 1 if it is not this release's."""
    from paidonce.cli.schema import show_schema_status

    show_schema_status(read_settings(), as_json=as_json)


@db.command()
def reencrypt() -> None:
    """Encrypt every secret under the first of PAIDONCE_ENCRYPTION_KEYS; the others may go after that."""
    from paidonce.cli.encrypting import reencrypt_secrets

    reencrypt_secrets(read_settings())


@main.command("encryption-key")
def encryption_key() -> None:
    """Print a new key for PAIDONCE_ENCRYPTION_KEYS."""
    from paidonce.encryption import KEY_BYTES, write_key
    from paidonce.ids import secret_bytes

    click.echo(write_key(secret_bytes(KEY_BYTES)))


@main.group()
def review() -> None:
    """Look after attempts that no provider has proven."""


@review.command("list")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def review_list(*, as_json: bool) -> None:
    """List attempts that need review or are still asked about, the oldest first."""
    from paidonce.cli.reviewing import list_unproven

    list_unproven(read_settings(), as_json=as_json)


@review.command("resolve")
@click.argument("attempt")
@click.option("--succeeded", metavar="REFERENCE", help="It took place; the provider's name for it.")
@click.option("--declined", metavar="CODE", help="It did not, and will not; why.")
def review_resolve(attempt: str, *, succeeded: str | None, declined: str | None) -> None:
    """Record what the provider told a person about an attempt."""
    from paidonce.cli.reviewing import resolve

    resolve(read_settings(), attempt, reference=succeeded, decline_code=declined)


@main.group()
def inbox() -> None:
    """Look after the webhooks that providers sent."""


@inbox.command("list")
@click.option("--all", "applied_too", is_flag=True, help="Those that are applied, too.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def inbox_list(*, applied_too: bool, limit: int, as_json: bool) -> None:
    """List webhooks that are not applied, the newest first."""
    from paidonce.cli.inbox import list_webhooks

    list_webhooks(read_settings(), limit=limit, applied_too=applied_too, as_json=as_json)


@inbox.command("replay")
@click.argument("webhook", metavar="ID")
@click.option("--provider", default="", help="Whose it is, where several have one with this id.")
def inbox_replay(webhook: str, *, provider: str) -> None:
    """Apply a stored webhook now, also one that was applied or given up."""
    from paidonce.cli.inbox import replay_webhook

    replay_webhook(read_settings(), webhook, provider=provider)


@main.command()
@click.option("--port", required=True, type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@click.option("--database", required=True, metavar="FILE", help="Its books: a SQLite file of its own.")
@click.option("--latency-ms", default=0, show_default=True, type=click.IntRange(0), help="From call to answer.")
@click.option("--deduplicate/--no-deduplicate", default=True, help="Whether a key is answered as before.")
@click.option("--key-lifetime-seconds", default=31_536_000, show_default=True, type=click.IntRange(1))
@click.option("--lookup-delay-ms", default=0, show_default=True, type=click.IntRange(0), help="Until look-ups find it.")
@click.option("--webhook-url", default="", metavar="URL", help="Where signed webhooks go; none are sent if absent.")
@click.option("--webhook-secret", default="", envvar="PAIDONCE_SIMULATOR_WEBHOOK_SECRET", help="whsec_ and base64.")
@click.option(
    "--fault-rate", default=0.0, show_default=True, type=click.FloatRange(0, 1), help="Of calls and webhooks."
)
@click.option("--faulty-calls", default=3, show_default=True, type=click.IntRange(0), help="Of a key's calls, at most.")
@click.option("--seed", default=0, show_default=True, help="Repeats the faults of the same calls.")
def simulator(
    *,
    port: int,
    database: str,
    latency_ms: int,
    deduplicate: bool,
    key_lifetime_seconds: int,
    lookup_delay_ms: int,
    webhook_url: str,
    webhook_secret: str,
    fault_rate: float,
    faulty_calls: int,
    seed: int,
) -> None:
    """Run the simulated provider as a process of its own, for tests and proofs."""
    from paidonce.cli.simulating import SimulatorOptions, run_simulator
    from paidonce.providers.simulator.faults import FaultPlan
    from paidonce.providers.simulator.simulation import Rules

    rules = Rules(
        latency_ms=latency_ms,
        deduplicates=deduplicate,
        key_lifetime_seconds=key_lifetime_seconds,
        lookup_delay_ms=lookup_delay_ms,
        faults=FaultPlan(rate=fault_rate, seed=seed, faulty_calls_max=faulty_calls),
    )
    books = Path(database.removeprefix("file:"))
    options = SimulatorOptions(
        port=port, books=books, rules=rules, webhook_url=webhook_url, webhook_secret=webhook_secret
    )
    run_simulator(read_settings(), options)


@main.command()
@click.option("--seconds", default=60.0, show_default=True, help="How long clients buy and processes are killed.")
@click.option("--seed", type=int, help="Repeats a run's choices; drawn if absent.")
@click.option("--database", default="", help="An empty PostgreSQL database's URL; a SQLite file of its own if absent.")
@click.option("--workers", default=2, show_default=True, help="Worker processes (PostgreSQL).")
@click.option("--clients", default=64, show_default=True, help="Buyers at the same time.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep databases and logs here.")
def prove(
    *, seconds: float, seed: int | None, database: str, workers: int, clients: int, as_json: bool, keep: Path | None
) -> None:
    """Prove the promise here: real processes, kills and faults, held against the provider's books."""
    from paidonce.cli.proving import run_proof
    from paidonce.ids import new_seed

    run_proof(
        seconds=seconds,
        seed=new_seed() if seed is None else seed,
        database=database,
        workers=workers,
        clients=clients,
        as_json=as_json,
        keep=keep,
    )


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def doctor(*, as_json: bool) -> None:
    """Tell what would go wrong in production, each with its remedy; exit 1 if anything would."""
    from paidonce.cli.doctor import examine

    examine(read_settings(), as_json=as_json)


@main.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    import json

    from paidonce.http.openapi import build_document
    from paidonce.http.routes import ROUTES

    click.echo(json.dumps(build_document(ROUTES), indent=2))


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell: eval "$(paidonce completion bash)"."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, "click knows the shells that the choice names"
    click.echo(kind(main, {}, "paidonce", "_PAIDONCE_COMPLETE").source())
