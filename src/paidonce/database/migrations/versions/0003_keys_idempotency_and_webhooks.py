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
    _let_events_be_about_no_checkout()
    _create_webhook_endpoint()
    _create_delivery()
    _create_delivery_try()


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


def _let_events_be_about_no_checkout() -> None:
    # SQLite cannot alter a column: there the table is made anew, from this, and its rows are copied.
    event = sa.Table(
        "event",
        sa.MetaData(),
        sa.Column("id", Id, nullable=False),
        sa.Column("merchant_id", Id, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("checkout_id", Id, nullable=False),
        sa.Column("attempt_id", Id),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text()),
        sa.Column("request_id", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", "merchant_id", name="event_pkey"),
        sa.UniqueConstraint("merchant_id", "sequence", name="event_sequence"),
        sa.Index("event_by_checkout", "checkout_id", "merchant_id"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("event", copy_from=event) as batch:
        batch.alter_column(
            "checkout_id",
            existing_type=Id,
            nullable=True,
            comment="none where it tells of a webhook endpoint",
        )


def _create_webhook_endpoint() -> None:
    op.create_table(
        "webhook_endpoint",
        sa.Column("id", Id, nullable=False),
        sa.Column("merchant_id", Id, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("event_types", sa.Text(), comment="a JSON array; none means every type that tells of money"),
        sa.Column("description", sa.Text()),
        sa.Column("secret", sa.Text(), comment="encrypted; none once the endpoint is deleted"),
        sa.Column("former_secret", sa.Text(), comment="encrypted; signs too until former_secret_until"),
        sa.Column("former_secret_until", sa.BigInteger()),
        sa.Column("failing_since", sa.BigInteger(), comment="the first failed try since the newest success"),
        sa.Column("paused_at", sa.BigInteger(), comment="nothing is sent from then on, and nothing is lost"),
        sa.Column("pause_reason", sa.Text()),
        sa.Column(
            "version", sa.Integer(), nullable=False, comment="counts its changes; each is made to the one that was seen"
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", "merchant_id", name="webhook_endpoint_pkey"),
        sa.CheckConstraint(
            "(paused_at IS NOT NULL) = (pause_reason IS NOT NULL AND pause_reason IN ('request', 'gone', 'failing'))",
            name="webhook_endpoint_paused_says_why",
        ),
        sa.CheckConstraint(
            "(deleted_at IS NULL) = (secret IS NOT NULL)", name="webhook_endpoint_deleted_has_no_secret"
        ),
        sa.CheckConstraint(
            "(former_secret IS NULL) = (former_secret_until IS NULL)", name="webhook_endpoint_former_secret_ends"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "webhook_endpoint_by_merchant",
        "webhook_endpoint",
        ["merchant_id", "id"],
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )


def _create_delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", Id, nullable=False),
        sa.Column("merchant_id", Id, nullable=False),
        sa.Column("endpoint_id", Id, nullable=False),
        sa.Column("event_id", Id, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False, comment="gap-free for each endpoint"),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), comment="when to send it; the end of the lease while somebody does"),
        sa.Column("fence", sa.Integer(), nullable=False, comment="counts the claims; each writes under its own"),
        sa.Column("failures", sa.Integer(), nullable=False, comment="failed tries since it was last made due by hand"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("delivered_at", sa.BigInteger(), comment="the newest try that succeeded"),
        sa.PrimaryKeyConstraint("id", "merchant_id", name="delivery_pkey"),
        sa.ForeignKeyConstraint(
            ["endpoint_id", "merchant_id"],
            ["webhook_endpoint.id", "webhook_endpoint.merchant_id"],
            name="delivery_endpoint_fkey",
        ),
        sa.ForeignKeyConstraint(
            ["event_id", "merchant_id"], ["event.id", "event.merchant_id"], name="delivery_event_fkey"
        ),
        sa.UniqueConstraint("endpoint_id", "merchant_id", "number", name="delivery_number"),
        sa.UniqueConstraint("endpoint_id", "merchant_id", "event_id", name="delivery_once_for_each_event"),
        sa.CheckConstraint(
            "status IN ('PENDING', 'SENDING', 'DELIVERED', 'FAILED', 'DROPPED')",
            name="delivery_status",
        ),
        sa.CheckConstraint("(due_at IS NOT NULL) = (status IN ('PENDING', 'SENDING'))", name="delivery_due_is_open"),
        sa.CheckConstraint("status <> 'DELIVERED' OR delivered_at IS NOT NULL", name="delivery_delivered_says_when"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "delivery_due",
        "delivery",
        ["endpoint_id", "merchant_id", "due_at"],
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index("delivery_by_endpoint", "delivery", ["endpoint_id", "merchant_id", "id"])


def _create_delivery_try() -> None:
    op.create_table(
        "delivery_try",
        sa.Column("delivery_id", Id, nullable=False),
        sa.Column("merchant_id", Id, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="the fence of the claim that it was made under"),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("status_code", sa.Integer(), comment="the receiver's; none where it did not answer"),
        sa.Column("error", sa.Text(), comment="why it counts as failed"),
        sa.Column("answer", sa.Text(), comment="the first bytes of what the receiver answered"),
        sa.PrimaryKeyConstraint("delivery_id", "merchant_id", "number", name="delivery_try_pkey"),
        sa.ForeignKeyConstraint(
            ["delivery_id", "merchant_id"], ["delivery.id", "delivery.merchant_id"], name="delivery_try_delivery_fkey"
        ),
        sqlite_with_rowid=False,
    )
