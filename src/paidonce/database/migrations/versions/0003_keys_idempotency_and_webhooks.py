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
    _create_idempotency_keys()
    _find_what_is_unproven_or_old()


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


def _find_what_is_unproven_or_old() -> None:
    """Let the oldest outcome without a proof, and webhooks that are long applied, be found without a search."""
    unproven = sa.text("status IN ('UNKNOWN', 'NEEDS_REVIEW')")
    op.create_index(
        "attempt_unproven",
        "attempt",
        ["status", "created_at"],
        unique=False,
        sqlite_where=unproven,
        postgresql_where=unproven,
    )
    applied = sa.text("applied_at IS NOT NULL")
    op.create_index(
        "provider_webhook_applied",
        "provider_webhook",
        ["applied_at"],
        unique=False,
        sqlite_where=applied,
        postgresql_where=applied,
    )
