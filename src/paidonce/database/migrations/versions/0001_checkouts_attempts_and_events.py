"""Checkouts, attempts and the event log."""

import sqlalchemy as sa
from alembic import op

# Ids are compared byte by byte, so that they sort by time under every locale.
Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

MOVES_ITS_CHECKOUT = "status IN ('READY', 'SENT', 'UNKNOWN', 'NEEDS_REVIEW') AND kind NOT IN ('REFUND', 'REVERSAL')"

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    _create_checkout()
    _create_event()
    _create_merchant()
    _create_attempt()


def _create_checkout() -> None:
    op.create_table(
        "checkout",
        sa.Column("id", Id, nullable=False),
        sa.Column("merchant_id", Id, nullable=False),
        sa.Column("idempotency_key", Id, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False, comment="minor units"),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("capture_method", sa.Text(), nullable=False),
        sa.Column("amount_captured", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("amount_refunded", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("amount_refund_pending", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attempt_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempt_id", Id, nullable=True, comment="the newest attempt"),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("metadata", sa.Text(), nullable=True, comment="a JSON object of strings"),
        sa.Column("success_url", sa.Text(), nullable=True),
        sa.Column("cancel_url", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(status = 'PENDING') <= (attempt_count = 0)", name="checkout_pending_is_untried"),
        sa.CheckConstraint("capture_method IN ('automatic', 'manual')", name="checkout_capture_method"),
        sa.CheckConstraint("status <> 'COMPLETED' OR amount_captured > 0", name="checkout_completed_is_captured"),
        sa.CheckConstraint(
            "status IN ('PENDING', 'PROCESSING', 'AUTHORIZED', 'COMPLETED', 'FAILED', 'CANCELED', 'EXPIRED')",
            name="checkout_status",
        ),
        sa.CheckConstraint("amount BETWEEN 1 AND 999999999999", name="checkout_amount"),
        sa.CheckConstraint("amount_captured BETWEEN 0 AND amount", name="checkout_amount_captured"),
        sa.CheckConstraint(
            "amount_refunded >= 0 AND amount_refund_pending >= 0"
            " AND amount_refunded + amount_refund_pending <= amount_captured",
            name="checkout_amount_refunded",
        ),
        sa.PrimaryKeyConstraint("id", "merchant_id", name="checkout_pkey"),
        sa.UniqueConstraint("merchant_id", "idempotency_key", name="checkout_idempotency_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("checkout_by_merchant", "checkout", ["merchant_id", "id"], unique=False)
    op.create_index(
        "checkout_to_expire",
        "checkout",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("status IN ('PENDING', 'FAILED', 'AUTHORIZED')"),
        postgresql_where=sa.text("status IN ('PENDING', 'FAILED', 'AUTHORIZED')"),
    )


def _create_event() -> None:
    op.create_table(
        "event",
        sa.Column("id", Id, nullable=False),
        sa.Column("merchant_id", Id, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False, comment="gap-free for each merchant"),
        sa.Column("checkout_id", Id, nullable=False),
        sa.Column("attempt_id", Id, nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True, comment="a JSON object: what changed, beyond the type"),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", "merchant_id", name="event_pkey"),
        sa.UniqueConstraint("merchant_id", "sequence", name="event_sequence"),
        sqlite_with_rowid=False,
    )
    op.create_index("event_by_checkout", "event", ["checkout_id", "merchant_id"], unique=False)


def _create_merchant() -> None:
    op.create_table(
        "merchant",
        sa.Column("id", Id, nullable=False),
        sa.Column("event_sequence", sa.BigInteger(), nullable=False, comment="number of the newest event"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )


def _create_attempt() -> None:
    op.create_table(
        "attempt",
        sa.Column("id", Id, nullable=False),
        sa.Column("merchant_id", Id, nullable=False),
        sa.Column("checkout_id", Id, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_key", Id, nullable=False, comment="the idempotency key that the provider sees, fixed here"),
        sa.Column("payment_method", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False, comment="minor units"),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column(
            "due_at",
            sa.BigInteger(),
            nullable=True,
            comment="when a worker should take it; the end of the lease while one has it",
        ),
        sa.Column(
            "fence", sa.Integer(), nullable=False, comment="counts the workers that had it; each writes under its own"
        ),
        sa.Column("lookup_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("charge_reference", sa.Text(), nullable=True, comment="the provider's charge that this changes"),
        sa.Column("idempotency_key", Id, nullable=True, comment="the client's, where it repeats this request"),
        sa.Column("reason", sa.Text(), nullable=True, comment="the client's, for a refund"),
        sa.Column("provider_reference", sa.Text(), nullable=True),
        sa.Column("decline_code", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(decline_code IS NOT NULL) = (status = 'DECLINED')", name="attempt_declined_says_why"),
        sa.CheckConstraint(
            "(due_at IS NOT NULL) = (status IN ('READY', 'SENT', 'UNKNOWN'))", name="attempt_due_is_open"
        ),
        sa.CheckConstraint(
            "(settled_at IS NOT NULL) = (status IN ('SUCCEEDED', 'DECLINED'))", name="attempt_settled_is_final"
        ),
        sa.CheckConstraint("(status = 'READY') <= (fence = 0)", name="attempt_ready_is_untouched"),
        sa.CheckConstraint(
            "kind IN ('CHARGE', 'AUTHORIZE', 'CAPTURE', 'VOID', 'REFUND', 'REVERSAL')", name="attempt_kind"
        ),
        sa.CheckConstraint(
            "status IN ('READY', 'SENT', 'UNKNOWN', 'NEEDS_REVIEW', 'SUCCEEDED', 'DECLINED')", name="attempt_status"
        ),
        sa.ForeignKeyConstraint(
            ["checkout_id", "merchant_id"], ["checkout.id", "checkout.merchant_id"], name="attempt_checkout_fkey"
        ),
        sa.PrimaryKeyConstraint("id", "merchant_id", name="attempt_pkey"),
        sqlite_with_rowid=False,
    )
    _create_attempt_indexes()


def _create_attempt_indexes() -> None:
    op.create_index("attempt_by_checkout", "attempt", ["checkout_id", "merchant_id"], unique=False)
    op.create_index(
        "attempt_due",
        "attempt",
        ["provider", "due_at"],
        unique=False,
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "attempt_one_under_way",
        "attempt",
        ["checkout_id", "merchant_id"],
        unique=True,
        sqlite_where=sa.text(MOVES_ITS_CHECKOUT),
        postgresql_where=sa.text(MOVES_ITS_CHECKOUT),
    )
    op.create_index(
        "attempt_idempotency_key",
        "attempt",
        ["merchant_id", "checkout_id", "kind", "idempotency_key"],
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
