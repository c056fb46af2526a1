"""The commands. Each imports what it needs when it runs, so that ``--help`` is quick."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from paidonce import __version__

if TYPE_CHECKING:
    from paidonce.settings import Settings

BAD_SETTINGS_EXIT = 2


def read_settings() -> "Settings":
    """Read the settings, or say everything that is wrong with them and exit with 2."""
    import os

    from paidonce.errors import InvalidSettings
    from paidonce.settings import load_settings

    try:
        return load_settings(os.environ, Path(".env"))
    except InvalidSettings as error:
        click.echo("paidonce cannot start like this:", err=True)
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
        raise SystemExit(BAD_SETTINGS_EXIT) from None


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="paidonce")
def main() -> None:
    """Checkouts and payments: one purchase, one charge.

    Settings come from the environment and from .env; see docs/reference/settings.md.
    """


@main.command()
def dev() -> None:
    """Migrate, then serve API, worker and simulator in this process."""
    from paidonce.cli.serving import run_server

    run_server(read_settings(), with_worker=True, migrating=True)


@main.command()
@click.option("--worker/--no-worker", default=True, help="Whether this process also settles payments.")
def serve(*, worker: bool) -> None:
    """Serve the API from a database that is migrated."""
    from paidonce.cli.serving import run_server

    run_server(read_settings(), with_worker=worker, migrating=False)


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

    from paidonce.api.openapi import build_document
    from paidonce.api.web import create_litestar

    click.echo(json.dumps(build_document(create_litestar(None)), indent=2))


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell: eval "$(paidonce completion bash)"."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, "click knows the shells that the choice names"
    click.echo(kind(main, {}, "paidonce", "_PAIDONCE_COMPLETE").source())
