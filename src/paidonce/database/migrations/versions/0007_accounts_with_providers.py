"""Accounts of merchants with payment providers.

The release before neither writes nor reads them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

USABLE = "status = 'ACTIVE'"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "provider_account",
        sa.Column("id", Id, nullable=False),
        sa.Column("merchant_id", Id, nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="for people"),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("credentials", sa.Text(), nullable=False, comment="encrypted; a JSON object of strings"),
        sa.Column("hints", sa.Text(), nullable=False, comment="a JSON object: what may be shown of each credential"),
        sa.Column(
            "position", sa.Integer(), nullable=False, comment="the order of preference among the merchant's accounts"
        ),
        sa.Column(
            "version", sa.Integer(), nullable=False, comment="counts its changes; each is made to the one that was seen"
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", "merchant_id", name="provider_account_pkey"),
        sa.CheckConstraint("mode IN ('test', 'live')", name="provider_account_mode"),
        sa.CheckConstraint("status IN ('ACTIVE', 'DISABLED')", name="provider_account_status"),
        sa.CheckConstraint(
            "(disabled_at IS NOT NULL) = (status = 'DISABLED')", name="provider_account_disabled_says_when"
        ),
        sa.CheckConstraint("position >= 1", name="provider_account_position"),
        sa.CheckConstraint("credentials LIKE 'v_.%'", name="provider_account_credentials_are_encrypted"),
        sqlite_with_rowid=False,
    )
    op.create_index("provider_account_by_merchant", "provider_account", ["merchant_id", "id"])
    op.create_index(
        "provider_account_by_preference",
        "provider_account",
        ["merchant_id", "mode", "position", "id"],
        sqlite_where=sa.text(USABLE),
        postgresql_where=sa.text(USABLE),
    )
