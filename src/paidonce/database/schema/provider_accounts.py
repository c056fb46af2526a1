"""Accounts of merchants with payment providers."""

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
)

from paidonce.database.schema.base import Id, metadata, partial_index

# A provider account that new payments may use.
USABLE_ACCOUNT: Final = "status = 'ACTIVE'"

# A merchant's accounts with payment providers.
provider_account = Table(
    "provider_account",
    metadata,
    Column("id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False),
    Column("provider", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("name", Text, nullable=False, comment="for people"),
    Column("status", Text, nullable=False),
    Column("credentials", Text, nullable=False, comment="encrypted; a JSON object of strings"),
    Column("hints", Text, nullable=False, comment="a JSON object: what may be shown of each credential"),
    Column("position", Integer, nullable=False, comment="the order of preference among the merchant's accounts"),
    Column("version", Integer, nullable=False, comment="counts its changes; each is made to the one that was seen"),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
    PrimaryKeyConstraint("id", "merchant_id", name="provider_account_pkey"),
    CheckConstraint("mode IN ('test', 'live')", name="provider_account_mode"),
    CheckConstraint("status IN ('ACTIVE', 'DISABLED')", name="provider_account_status"),
    CheckConstraint("(disabled_at IS NOT NULL) = (status = 'DISABLED')", name="provider_account_disabled_says_when"),
    CheckConstraint("position >= 1", name="provider_account_position"),
    CheckConstraint("credentials LIKE 'v_.%'", name="provider_account_credentials_are_encrypted"),
    Index("provider_account_by_merchant", "merchant_id", "id"),
    partial_index("provider_account_by_preference", "merchant_id", "mode", "position", "id", where=USABLE_ACCOUNT),
    sqlite_with_rowid=False,
)
