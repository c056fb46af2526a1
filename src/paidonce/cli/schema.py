"""``paidonce db``: upgrade, distribute and status."""

import json
import sys

import click

from paidonce.cli.opening import exit_on_failure
from paidonce.clock import system_clock
from paidonce.database.citus.distribute import distribute
from paidonce.database.engine import open_database
from paidonce.database.migrate import migrate, schema_version
from paidonce.database.schema import SCHEMA_VERSION
from paidonce.settings import Settings


def upgrade_schema(settings: Settings) -> None:
    """Migrate the database to the schema of this release and print what was done."""
    place = settings.database.shown
    with exit_on_failure(place):
        database = open_database(settings.database, clock=system_clock)
        try:
            changed = migrate(database)
        finally:
            database.close()
    click.echo(f"{place} {'was migrated to' if changed else 'already has'} schema version {SCHEMA_VERSION}.")


def distribute_tables(settings: Settings, *, shards: int | None) -> None:
    """Distribute the tables over the nodes of a Citus cluster and print what was done; exit 2 on another database."""
    place = settings.database
    with exit_on_failure(place.shown):
        done = distribute(place, clock=system_clock, shards=shards)
    if done.tables:
        click.echo(f"{place.shown}: distributed over {done.shards} shards: {', '.join(done.tables)}")
    else:
        click.echo(f"{place.shown} is distributed over {done.shards} shards; nothing was left to do.")


def show_schema_status(settings: Settings, *, as_json: bool) -> None:
    """Print the schema version of the database; exit 1 if it is not the version of this release."""
    place = settings.database
    version = None
    if place.path is None or place.path.exists():
        with exit_on_failure(place.shown):
            database = open_database(place, clock=system_clock, exclusive=False)
            try:
                with database.reads.connect() as connection:
                    version = schema_version(connection)
            finally:
                database.close()
    if as_json:
        click.echo(json.dumps({"database": place.shown, "schema": version, "wanted": SCHEMA_VERSION}))
    elif version == SCHEMA_VERSION:
        click.echo(f"{place.shown} has schema version {version}, the version of this release.")
    else:
        click.echo(f"{place.shown} has schema version {version or 'none'}; this release needs {SCHEMA_VERSION}.")
        click.echo("Run: paidonce db upgrade")
    sys.exit(0 if version == SCHEMA_VERSION else 1)
