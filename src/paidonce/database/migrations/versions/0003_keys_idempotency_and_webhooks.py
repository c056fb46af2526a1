"""Merchants' keys, answers kept for idempotency keys, and webhooks to merchants."""

import sqlalchemy as sa
from alembic import op

# Ids are compared byte by byte, so that they sort by time under every locale.
Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables."""
    _create_api_key()


def _create_api_key() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", Id, nullable=False),
        sa.Column("merchant_id", Id, nullable=False, comment="empty: an operator's key, which belongs to no merchant"),
        sa.Column("hash", Id, nullable=False, comment="SHA-256 of the secret, in hexadecimal"),
        sa.Column("shown", sa.Text(), nullable=False, comment="the secret's beginning, to tell keys apart"),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False, comment="separated by spaces"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True, comment="set by a rotation: until then both keys live"),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("replaced_by", Id, nullable=True, comment="the key that a rotation put in its place"),
        sa.CheckConstraint("length(hash) = 64", name="api_key_is_hashed"),
        sa.CheckConstraint("mode IN ('test', 'live')", name="api_key_mode"),
        sa.CheckConstraint("(replaced_by IS NOT NULL) = (expires_at IS NOT NULL)", name="api_key_replaced_expires"),
        sa.PrimaryKeyConstraint("id", "merchant_id", name="api_key_pkey"),
        sa.UniqueConstraint("hash", "merchant_id", name="api_key_hash"),
        sqlite_with_rowid=False,
    )
    op.create_index("api_key_by_merchant", "api_key", ["merchant_id", "id"], unique=False)
