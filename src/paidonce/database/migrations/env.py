"""Alembic's entry point: migrates over the connection that ``database.migrate`` hands in."""

from alembic import context

from paidonce.database.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
