"""Merchants' keys, answers kept for idempotency keys, and webhooks to merchants."""

import sqlalchemy as sa
from alembic import op

# Ids are compared byte by byte, so that they sort by time under every locale.
Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables."""
    _create_idempotency_keys()


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_key",
        sa.Column("merchant_id", Id, nullable=False),
        sa.Column("key", Id, nullable=False),
        sa.Column(
            "claim_id", Id, nullable=False, comment="the request that claimed it, so that it knows its own claim again"
        ),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False, comment="a JSON object: a digest of each field of the body"),
        sa.Column(
            "status",
            sa.Integer(),
            nullable=True,
            comment="of the answer; only the transaction that claims it sees none",
        ),
        sa.Column("resource", sa.Text(), nullable=True, comment="the path of what the request made or changed"),
        sa.Column("attempt_id", Id, nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(status IS NULL) = (resource IS NULL)", name="idempotency_key_answer"),
        sa.PrimaryKeyConstraint("merchant_id", "key", name="idempotency_key_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_index("idempotency_key_to_forget", "idempotency_key", ["expires_at"], unique=False)
    # What an attempt kept of its key is kept there now, for every kind of request in one way.
    op.drop_index("attempt_idempotency_key", "attempt")
    op.drop_column("attempt", "idempotency_key")
