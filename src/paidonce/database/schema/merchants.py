"""Merchants and their API keys."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from paidonce.database.schema.base import Id, metadata

merchant = Table(
    "merchant",
    metadata,
    Column("id", Id, primary_key=True),
    Column("event_sequence", BigInteger, nullable=False, comment="number of the newest event in test mode"),
    Column(
        "live_event_sequence",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="number of the newest event in live mode",
    ),
    Column("created_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False, comment="empty: an operator's key, which belongs to no merchant"),
    Column("hash", Id, nullable=False, comment="SHA-256 of the secret, in hexadecimal"),
    Column("shown", Text, nullable=False, comment="the secret's beginning, to tell keys apart"),
    Column("mode", Text, nullable=False),
    Column("scopes", Text, nullable=False, comment="separated by spaces"),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, comment="set by a rotation: until then both keys live"),
    Column("revoked_at", BigInteger),
    Column("replaced_by", Id, comment="the key that a rotation put in its place"),
    PrimaryKeyConstraint("id", "merchant_id", name="api_key_pkey"),
    UniqueConstraint("hash", "merchant_id", name="api_key_hash"),
    CheckConstraint("length(hash) = 64", name="api_key_is_hashed"),
    CheckConstraint("mode IN ('test', 'live')", name="api_key_mode"),
    CheckConstraint("(replaced_by IS NOT NULL) = (expires_at IS NOT NULL)", name="api_key_replaced_expires"),
    Index("api_key_by_merchant", "merchant_id", "id"),
    sqlite_with_rowid=False,
)
