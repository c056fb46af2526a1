"""``paidonce db``: upgrade, distribute and status."""

import json
import sys
from typing import Any

import click

from paidonce.cli.opening import exit_on_failure
from paidonce.clock import system_clock
from paidonce.database.citus.distribute import distribute
from paidonce.database.citus.health import Cluster, read_cluster
from paidonce.database.citus.layout import misplaced
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
    """Print the schema version, and on a cluster its nodes and what is not distributed; exit 1 if anything is to do."""
    place = settings.database
    version, cluster = None, None
    if place.path is None or place.path.exists():
        with exit_on_failure(place.shown):
            database = open_database(place, clock=system_clock, exclusive=False)
            try:
                with database.reads.connect() as connection:
                    version = schema_version(connection)
                if place.dialect == "postgresql":
                    with database.writes.begin() as connection:
                        cluster = read_cluster(connection)
            finally:
                database.close()
    if as_json:
        status: dict[str, Any] = {"database": place.shown, "schema": version, "wanted": SCHEMA_VERSION}
        click.echo(json.dumps(status if cluster is None else {**status, "cluster": _summarize(cluster)}))
    else:
        _print_status(place.shown, version, cluster)
    is_ready = cluster is None or not (cluster.left_local or misplaced(cluster.places))
    sys.exit(0 if version == SCHEMA_VERSION and is_ready else 1)


def _print_status(place: str, version: str | None, cluster: Cluster | None) -> None:
    if version == SCHEMA_VERSION:
        click.echo(f"{place} has schema version {version}, the version of this release.")
    else:
        click.echo(f"{place} has schema version {version or 'none'}; this release needs {SCHEMA_VERSION}.")
        click.echo("Run: paidonce db upgrade")
    if cluster is None:
        return
    click.echo(
        f"It is a Citus cluster ({cluster.version}); the tables of merchants have {cluster.shards or 'no'} shards."
    )
    for node in cluster.nodes:
        role = "coordinator" if node.is_coordinator else "worker"
        click.echo(f"  {role:<12}{node.name}{f': does not respond: {node.error}' if node.error else ''}")
    if misplaced(cluster.places):
        click.echo(f"Distributed in another way than this release needs: {', '.join(misplaced(cluster.places))}")
    if cluster.left_local:
        click.echo(f"Not distributed: {', '.join(cluster.left_local)}")
        if version == SCHEMA_VERSION:
            click.echo("Run: paidonce db distribute")


def _summarize(cluster: Cluster) -> dict[str, Any]:
    return {
        "version": cluster.version,
        "shards": cluster.shards,
        "left_local": cluster.left_local,
        "misplaced": misplaced(cluster.places),
        "nodes": [
            {"name": node.name, "is_coordinator": node.is_coordinator, "error": node.error or None}
            for node in cluster.nodes
        ],
    }
