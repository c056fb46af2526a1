"""Merchants and their API keys."""

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

# The condition of a partial index, which statements repeat.
WITHOUT_PAGE: Final = "checkout_page = 0"

merchant_profile = Table(
    "merchant_profile",
    metadata,
    Column("merchant_id", Id, nullable=False),
    *mode("merchant_profile"),
    Column("display_name", Text),
    Column("color", Text, comment="#rrggbb"),
    Column("checkout_page", Integer, nullable=False, comment="1: checkouts have a page on which buyers pay"),
    Column("support_email", Text),
    Column("support_url", Text),
    Column("logo_digest", Id, comment="of its bytes: the first half of SHA-256, in hexadecimal"),
    Column("logo_type", Text, comment="a media type"),
    Column("logo_width", Integer, comment="pixels"),
    Column("logo_height", Integer, comment="pixels"),
    Column("version", Integer, nullable=False, comment="counts its changes; each is made to the one that was seen"),
    Column("updated_at", BigInteger, nullable=False),
    Column("logo", Text, comment="its bytes, in base64; last, so that other columns are read without it"),
    PrimaryKeyConstraint("merchant_id", "mode", name="merchant_profile_pkey"),
    CheckConstraint("checkout_page IN (0, 1)", name="merchant_profile_checkout_page"),
    CheckConstraint(
        "(logo_type IS NULL) = (logo_digest IS NULL) AND (logo IS NULL OR logo_digest IS NOT NULL)",
        name="merchant_profile_logo_is_whole",
    ),
    partial_index("merchant_profile_by_logo", "logo_digest", where="logo_digest IS NOT NULL"),
    partial_index("merchant_profile_without_page", "merchant_id", "mode", where=WITHOUT_PAGE),
    sqlite_with_rowid=False,
)
