"""Checkouts."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from paidonce.database.schema.base import Id, metadata, mode, partial_index

# A checkout that expires, unless its status changes.
EXPIRING: Final = "status IN ('PENDING', 'FAILED', 'AUTHORIZED')"

checkout = Table(
    "checkout",
    metadata,
    Column("id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False),
    *mode("checkout"),
    Column("idempotency_key", Id, nullable=False),
    Column("amount", BigInteger, nullable=False, comment="minor units"),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("capture_method", Text, nullable=False),
    Column("amount_captured", BigInteger, nullable=False, server_default="0"),
    Column("amount_refunded", BigInteger, nullable=False, server_default="0"),
    Column("amount_refund_pending", BigInteger, nullable=False, server_default="0"),
    Column("amount_disputed", BigInteger, nullable=False, server_default="0", comment="of disputes open or lost"),
    Column("attempt_count", Integer, nullable=False, server_default="0"),
    Column("attempt_id", Id, comment="the newest attempt"),
    Column("description", Text),
    Column("metadata", Text, comment="a JSON object of strings"),
    Column("success_url", Text),
    Column("cancel_url", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("expires_at_requested", BigInteger, comment="the client's, where the authorization lapses before"),
    PrimaryKeyConstraint("id", "merchant_id", name="checkout_pkey"),
    UniqueConstraint("merchant_id", "mode", "idempotency_key", name="checkout_idempotency_key"),
    CheckConstraint(
        "status IN ('PENDING', 'PROCESSING', 'AUTHORIZED', 'COMPLETED', 'FAILED', 'CANCELED', 'EXPIRED')",
        name="checkout_status",
    ),
    CheckConstraint("capture_method IN ('automatic', 'manual')", name="checkout_capture_method"),
    CheckConstraint("amount BETWEEN 1 AND 999999999999", name="checkout_amount"),
    CheckConstraint("amount_captured BETWEEN 0 AND amount", name="checkout_amount_captured"),
    CheckConstraint(
        "amount_refunded >= 0 AND amount_refund_pending >= 0"
        " AND amount_refunded + amount_refund_pending <= amount_captured",
        name="checkout_amount_refunded",
    ),
    CheckConstraint("amount_disputed >= 0", name="checkout_amount_disputed"),
    CheckConstraint("expires_at_requested > expires_at", name="checkout_expires_before_requested"),
    CheckConstraint("status <> 'COMPLETED' OR amount_captured > 0", name="checkout_completed_is_captured"),
    CheckConstraint("(status = 'PENDING') <= (attempt_count = 0)", name="checkout_pending_is_untried"),
    Index("checkout_by_merchant", "merchant_id", "mode", "id"),
    partial_index("checkout_to_expire", "expires_at", where=EXPIRING),
    sqlite_with_rowid=False,
)
