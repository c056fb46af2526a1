"""The commands. Each imports what it needs only when it runs, so that ``--help`` is fast."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from paidonce import __version__
from paidonce.cli.key_commands import keys, merchants
from paidonce.cli.provider_commands import providers
from paidonce.cli.user_commands import users

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
    host = click.option("--host", help="Address to listen on. Overrides HOST. Default: 127.0.0.1.")
    port = click.option(
        "--port",
        type=click.IntRange(0, 65535),
        help="Port to listen on; 0 selects a free port. Overrides PORT. Default: 3000.",
    )
    return host(port(command))


def read_settings(**options: str | None) -> "Settings":
    """Read the settings, or print every problem and exit with 2. Options override the environment."""
    import os

    from paidonce.errors import InvalidSettings
    from paidonce.settings import load_settings

    try:
        given = {name: value for name, value in options.items() if value is not None}
        return load_settings({**os.environ, **given}, Path(".env"))
    except InvalidSettings as error:
        click.echo("paidonce cannot start with these settings:", err=True)
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
        raise SystemExit(BAD_SETTINGS_EXIT) from None


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, epilog=FIRST_STEPS)
@click.version_option(__version__, prog_name="paidonce")
def main() -> None:
    """A checkout and payment service: one purchase, one charge.

    Settings are read from the environment and from .env; see docs/reference/settings.md.
    """


main.add_command(merchants)
main.add_command(keys)
main.add_command(providers)
main.add_command(users)


@main.command()
@listening
@click.option("--demo", is_flag=True, help="Create a checkout to try the service with, and print a link to its page.")
def dev(*, host: str | None, port: int | None, demo: bool) -> None:
    """Migrate the database, then run API, worker and simulated provider in one process."""
    from paidonce.cli.serving import ServerRole, run_server

    settings = read_settings(HOST=host, PORT=None if port is None else str(port))
    run_server(settings, ServerRole(is_for_development=True, with_demo=demo))


@main.command()
@listening
@click.option(
    "--worker/--no-worker",
    default=True,
    help="Whether this process also runs a worker, which settles payments and sends webhooks. Default: it does.",
)
@click.option(
    "--tls-certificate", metavar="FILE", help="Certificate and chain (PEM). Overrides PAIDONCE_TLS_CERTIFICATE."
)
@click.option("--tls-key", metavar="FILE", help="Private key of the certificate. Overrides PAIDONCE_TLS_KEY.")
@click.option("--standby", is_flag=True, help="Wait while another server uses the SQLite file, then take over.")
def serve(
    *,
    host: str | None,
    port: int | None,
    worker: bool,
    tls_certificate: str | None,
    tls_key: str | None,
    standby: bool,
) -> None:
    """Run the API on a migrated database."""
    from paidonce.cli.serving import ServerRole, run_server

    settings = read_settings(
        HOST=host,
        PORT=None if port is None else str(port),
        PAIDONCE_TLS_CERTIFICATE=tls_certificate,
        PAIDONCE_TLS_KEY=tls_key,
    )
    run_server(settings, ServerRole(with_worker=worker, is_standby=standby))


@main.command()
def worker() -> None:
    """Run a worker for servers that run with --no-worker (PostgreSQL only)."""
    from paidonce.cli.serving import run_worker

    run_worker(read_settings())


@main.group()
def db() -> None:
    """Manage the database."""


@db.command()
def upgrade() -> None:
    """Migrate the database to the schema of this release."""
    from paidonce.cli.schema import upgrade_schema

    upgrade_schema(read_settings())


@db.command()
@click.option(
    "--shards", type=click.IntRange(1, 64_000), help="Number of shards, if no table is distributed yet. Default: 32."
)
def distribute(*, shards: int | None) -> None:
    """Distribute the tables over the nodes of a Citus cluster; run it after each upgrade."""
    from paidonce.cli.schema import distribute_tables

    distribute_tables(read_settings(), shards=shards)


@db.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, as_json: bool) -> None:
    """Print the schema version of the database; exit 1 if it is not the version of this release."""
    from paidonce.cli.schema import show_schema_status

    show_schema_status(read_settings(), as_json=as_json)


@db.command()
def reencrypt() -> None:
    """Re-encrypt every secret with the first of PAIDONCE_ENCRYPTION_KEYS; the others can then be removed."""
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
    """Review attempts whose outcome is unknown."""


@review.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def review_list(*, as_json: bool) -> None:
    """List attempts that need review, then attempts that are still being looked up, oldest first."""
    from paidonce.cli.reviewing import list_unproven

    list_unproven(read_settings(), as_json=as_json)


@review.command("resolve")
@click.argument("attempt")
@click.option("--succeeded", metavar="REFERENCE", help="It took place. The provider's reference for it.")
@click.option("--declined", metavar="CODE", help="It did not and will not take place. The decline code.")
def review_resolve(attempt: str, *, succeeded: str | None, declined: str | None) -> None:
    """Record the outcome of an attempt that a person has confirmed with the provider."""
    from paidonce.cli.reviewing import resolve

    resolve(read_settings(), attempt, reference=succeeded, decline_code=declined)


@main.group()
def inbox() -> None:
    """Manage the webhooks that providers sent."""


@inbox.command("list")
@click.option("--all", "applied_too", is_flag=True, help="Include webhooks that are applied.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="Maximum number to list.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inbox_list(*, applied_too: bool, limit: int, as_json: bool) -> None:
    """List stored webhooks that are not applied, newest first."""
    from paidonce.cli.inbox import list_webhooks

    list_webhooks(read_settings(), limit=limit, applied_too=applied_too, as_json=as_json)


@inbox.command("replay")
@click.argument("webhook", metavar="ID")
@click.option("--provider", default="", help="The provider, if several providers sent a webhook with this id.")
def inbox_replay(webhook: str, *, provider: str) -> None:
    """Apply a stored webhook now, even if it was applied before or given up."""
    from paidonce.cli.inbox import replay_webhook

    replay_webhook(read_settings(), webhook, provider=provider)


@main.command()
@click.option("--port", required=True, type=click.IntRange(0, 65535), help="Port to listen on; 0 selects a free port.")
@click.option("--database", required=True, metavar="FILE", help="SQLite file for the records of the simulator.")
@click.option("--latency-ms", default=0, show_default=True, type=click.IntRange(0), help="Latency of a call.")
@click.option(
    "--deduplicate/--no-deduplicate", default=True, help="Whether a repeated idempotency key is deduplicated."
)
@click.option(
    "--key-lifetime-seconds",
    default=31_536_000,
    show_default=True,
    type=click.IntRange(1),
    help="How long an idempotency key is remembered.",
)
@click.option(
    "--lookup-delay-ms",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Delay until a look-up finds a charge.",
)
@click.option("--webhook-url", default="", metavar="URL", help="URL for signed webhooks. Default: none are sent.")
@click.option(
    "--webhook-secret",
    default="",
    envvar="PAIDONCE_SIMULATOR_WEBHOOK_SECRET",
    help="Signing secret: whsec_ and base64.",
)
@click.option(
    "--fault-rate",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Share of calls and webhooks that fail.",
)
@click.option(
    "--faulty-calls",
    default=3,
    show_default=True,
    type=click.IntRange(0),
    help="How many calls with the same key can fail.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the faults; the same seed repeats them.")
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
    """Run the simulated provider as a separate process, for tests and proofs."""
    from paidonce.cli.simulating import SimulatorOptions, run_simulator
    from paidonce.providers.simulator.calls import Rules
    from paidonce.providers.simulator.faults import FaultPlan

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
@click.option(
    "--provider",
    default="simulator",
    show_default=True,
    type=click.Choice(["simulator", "stripe", "mollie", "paypal", "adyen"]),
    help="The provider. Of a real one, a double is started.",
)
@click.option("--seconds", default=60.0, show_default=True, help="How long clients buy while processes are killed.")
@click.option("--seed", type=int, help="Seed of a run; the same seed repeats its choices. Default: random.")
@click.option("--database", default="", help="URL of an empty PostgreSQL database. Default: a new SQLite file.")
@click.option("--workers", default=2, show_default=True, help="Number of worker processes (PostgreSQL).")
@click.option("--clients", default=64, show_default=True, help="Number of concurrent buyers.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--keep", type=click.Path(path_type=Path, file_okay=False), help="Folder in which to keep databases and logs."
)
def prove(
    *,
    provider: str,
    seconds: float,
    seed: int | None,
    database: str,
    workers: int,
    clients: int,
    as_json: bool,
    keep: Path | None,
) -> None:
    """Test the guarantees on this machine: kill real processes, inject faults, compare with the provider's records."""
    from paidonce.cli.proving import run_proof
    from paidonce.ids import new_seed

    run_proof(
        provider=provider,
        seconds=seconds,
        seed=new_seed() if seed is None else seed,
        database=database,
        workers=workers,
        clients=clients,
        as_json=as_json,
        keep=keep,
    )


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(*, as_json: bool) -> None:
    """Check the configuration for production and print remedies; exit 1 if there is a problem."""
    from paidonce.cli.doctor import examine

    examine(read_settings(), as_json=as_json)


@main.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    import json

    from paidonce.http.openapi import build_document
    from paidonce.http.routes import OPERATIONS

    click.echo(json.dumps(build_document(OPERATIONS), indent=2))


@main.command()
def routes() -> None:
    """Print all calls of the API: method, path, the scope that a key needs, and what an idempotency key does."""
    from paidonce.http.routes import OPERATIONS

    for operation in OPERATIONS:
        idempotency = "Idempotency-Key" if "Idempotency-Key" in operation.headers else ""
        scope = operation.scope.value if operation.scope else "open"
        click.echo(f"{operation.method:7}{operation.path:50}{scope:17}{idempotency}".rstrip())


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell: eval "$(paidonce completion bash)"."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, "click knows the shells that the choice names"
    click.echo(kind(main, {}, "paidonce", "_PAIDONCE_COMPLETE").source())
