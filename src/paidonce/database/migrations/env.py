"""Alembic's entry point: migrates over the connection that ``database.migrate`` hands in."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import context
from sqlalchemy import Connection

from paidonce.database.schema import metadata


@contextmanager
def foreign_keys_off(connection: Connection) -> Iterator[None]:
    """Let tables be rebuilt that others refer to. SQLite enforces foreign keys while a table is dropped.

    A migration that rebuilds such a table checks foreign keys at its end. Within a transaction, the setting cannot be
    changed.
    """
    driver = connection.connection.driver_connection
    if connection.dialect.name != "sqlite" or driver is None:
        yield
        return
    driver.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys = ON")


migrating: Connection = context.config.attributes["connection"]
context.configure(connection=migrating, target_metadata=metadata, transaction_per_migration=True)
with foreign_keys_off(migrating), context.begin_transaction():
    context.run_migrations()
