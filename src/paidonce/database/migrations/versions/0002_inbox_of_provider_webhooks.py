"""The inbox of providers' webhooks."""

import sqlalchemy as sa
from alembic import op

# Ids are compared byte by byte, so that they sort by time under every locale.
Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "provider_webhook",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("id", Id, nullable=False, comment="the provider's"),
        sa.Column("attempt_key", Id, nullable=True, comment="the provider key of the attempt that it tells of"),
        sa.Column("evidence", sa.Text(), nullable=True, comment="a JSON object: what it proves"),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True, comment="when to apply it, if it is not applied by then"),
        sa.Column("applied_at", sa.BigInteger(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(applied_at IS NOT NULL) = (result IS NOT NULL AND result IN ('CHANGED', 'KNOWN', 'NO_NEWS'))",
            name="provider_webhook_applied_has_a_result",
        ),
        sa.CheckConstraint("applied_at IS NULL OR due_at IS NULL", name="provider_webhook_applied_is_not_due"),
        sa.CheckConstraint(
            "result IS NULL OR result IN ('CHANGED', 'KNOWN', 'NO_NEWS', 'ATTEMPT_NOT_FOUND', 'FAILED')",
            name="provider_webhook_result",
        ),
        sa.PrimaryKeyConstraint("provider", "id", name="provider_webhook_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "provider_webhook_due",
        "provider_webhook",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
