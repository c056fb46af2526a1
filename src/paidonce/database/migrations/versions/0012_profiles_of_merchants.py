"""How merchants appear to their buyers. The release before neither writes nor reads it."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

WITH_LOGO = "logo_digest IS NOT NULL"
WITHOUT_PAGE = "checkout_page = 0"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "merchant_profile",
        sa.Column("merchant_id", Id, nullable=False),
        sa.Column("mode", sa.Text(), nullable=False, server_default="test"),
        sa.Column("display_name", sa.Text()),
        sa.Column("color", sa.Text(), comment="#rrggbb"),
        sa.Column(
            "checkout_page", sa.Integer(), nullable=False, comment="1: checkouts have a page on which buyers pay"
        ),
        sa.Column("support_email", sa.Text()),
        sa.Column("support_url", sa.Text()),
        sa.Column("logo_digest", Id, comment="of its bytes: the first half of SHA-256, in hexadecimal"),
        sa.Column("logo_type", sa.Text(), comment="a media type"),
        sa.Column("logo_width", sa.Integer(), comment="pixels"),
        sa.Column("logo_height", sa.Integer(), comment="pixels"),
        sa.Column(
            "version", sa.Integer(), nullable=False, comment="counts its changes; each is made to the one that was seen"
        ),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("logo", sa.Text(), comment="its bytes, in base64; last, so that other columns are read without it"),
        sa.PrimaryKeyConstraint("merchant_id", "mode", name="merchant_profile_pkey"),
        sa.CheckConstraint("mode IN ('test', 'live')", name="merchant_profile_mode"),
        sa.CheckConstraint("checkout_page IN (0, 1)", name="merchant_profile_checkout_page"),
        sa.CheckConstraint(
            "(logo_type IS NULL) = (logo_digest IS NULL) AND (logo IS NULL OR logo_digest IS NOT NULL)",
            name="merchant_profile_logo_is_whole",
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "merchant_profile_by_logo",
        "merchant_profile",
        ["logo_digest"],
        sqlite_where=sa.text(WITH_LOGO),
        postgresql_where=sa.text(WITH_LOGO),
    )
    op.create_index(
        "merchant_profile_without_page",
        "merchant_profile",
        ["merchant_id", "mode"],
        sqlite_where=sa.text(WITHOUT_PAGE),
        postgresql_where=sa.text(WITHOUT_PAGE),
    )
