"""The commands for the database; each imports its implementation only when it runs."""

import click

from paidonce.cli.environment import read_settings


@click.group()
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


@click.command("encryption-key")
def encryption_key() -> None:
    """Print a new key for PAIDONCE_ENCRYPTION_KEYS."""
    from paidonce.encryption import KEY_BYTES, write_key
    from paidonce.ids import secret_bytes

    click.echo(write_key(secret_bytes(KEY_BYTES)))
