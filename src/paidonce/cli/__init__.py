"""The commands. Each imports what it needs only when it runs, so that ``--help`` is fast."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from paidonce import __version__
from paidonce.cli.database_commands import db, encryption_key
from paidonce.cli.environment import read_settings
from paidonce.cli.key_commands import keys, merchants
from paidonce.cli.proof_commands import prove, simulator
from paidonce.cli.provider_commands import providers
from paidonce.cli.review_commands import inbox, review
from paidonce.cli.user_commands import users

Command = TypeVar("Command", bound=Callable[..., Any])

FIRST_STEPS: Final = """\
\b
To try it:         paidonce dev                 then open http://localhost:3000/docs
To serve with keys:
  export PAIDONCE_AUTH=keys
  export PAIDONCE_ENCRYPTION_KEYS=pek_...    from: paidonce encryption-key
  paidonce db upgrade
  paidonce merchants create m123
  paidonce keys create m123
  paidonce serve --host 0.0.0.0
To check a set-up: paidonce doctor              and paidonce prove
"""


def with_address(command: Command) -> Command:
    """Add ``--host`` and ``--port`` to a command that listens."""
    host = click.option("--host", help="Address to listen on. Overrides HOST. Default: 127.0.0.1.")
    port = click.option(
        "--port",
        type=click.IntRange(0, 65535),
        help="Port to listen on; 0 selects a free port. Overrides PORT. Default: 3000.",
    )
    return host(port(command))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, epilog=FIRST_STEPS)
@click.version_option(__version__, prog_name="paidonce")
def main() -> None:
    """A checkout and payment service: one purchase, one charge.

    Settings are read from the environment and from .env; see docs/reference/settings.md.
    """


for command in (merchants, keys, providers, users, db, encryption_key, review, inbox, simulator, prove):
    main.add_command(command)


@main.command()
@with_address
@click.option("--demo", is_flag=True, help="Create a checkout to try the service with, and print a link to its page.")
def dev(*, host: str | None, port: int | None, demo: bool) -> None:
    """Migrate the database, then run API, worker and simulated provider in one process."""
    from paidonce.cli.serving import ServerRole, run_server

    settings = read_settings(HOST=host, PORT=None if port is None else str(port))
    run_server(settings, ServerRole(is_for_development=True, with_demo=demo))


@main.command()
@with_address
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
