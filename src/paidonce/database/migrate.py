"""Migrates a database, and checks whether it is migrated."""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from paidonce.database.engine import Database
from paidonce.database.schema import SCHEMA_VERSION
from paidonce.errors import SchemaOutdated

FOLDER: Final = Path(__file__).parent / "migrations"


def schema_version(connection: Connection) -> str | None:
    """Read which migration the database is at; None before the first."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def is_migrated(database: Database) -> bool:
    """Return whether the database has every migration of this release."""
    with database.writes.connect() as connection:
        return schema_version(connection) == SCHEMA_VERSION


def migrate(database: Database) -> bool:
    """Migrate the schema to this release, in one transaction for each migration; returns whether anything was done."""
    if is_migrated(database):
        return False
    # Imported here, because they take a third of the start-up time and are rarely needed.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    with database.writes.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return True


def prepare_schema(database: Database, *, migrating: bool) -> None:
    """Migrate if ``migrating``, else raise SchemaOutdated where the database is not migrated."""
    if migrating:
        migrate(database)
    elif not is_migrated(database):
        message = f"{database.url.shown} does not have this release's schema. Run: paidonce db upgrade"
        raise SchemaOutdated(message)
