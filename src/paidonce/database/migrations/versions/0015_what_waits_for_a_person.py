"""Indexes of what waits for a person: attempts without a proof, provider webhooks that were given up, and failed
deliveries with their endpoints.

Few rows are ever in them. The release before uses none of them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

INDEXES = (
    ("delivery_failed", "delivery", ["endpoint_id", "merchant_id", "id"], "status = 'FAILED'"),
    ("attempt_accepted", "attempt", ["created_at"], "status = 'ACCEPTED'"),
    (
        "attempt_awaiting_proof",
        "attempt",
        ["merchant_id", "mode", "status", "created_at"],
        "status IN ('ACCEPTED', 'UNKNOWN', 'NEEDS_REVIEW')",
    ),
    (
        "provider_webhook_given_up",
        "provider_webhook",
        ["result", "received_at"],
        "applied_at IS NULL AND due_at IS NULL",
    ),
    (
        "webhook_endpoint_failing",
        "webhook_endpoint",
        ["failing_since"],
        "deleted_at IS NULL AND failing_since IS NOT NULL",
    ),
)


def upgrade() -> None:
    """Create them; on PostgreSQL beside the running service, outside a transaction."""
    for name, table, columns, condition in INDEXES:
        where = sa.text(condition)
        if op.get_bind().dialect.name == "sqlite":
            op.create_index(name, table, columns, sqlite_where=where)
            continue
        with op.get_context().autocommit_block():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # An interrupted build leaves an invalid one.
            op.create_index(name, table, columns, postgresql_where=where, postgresql_concurrently=True)
