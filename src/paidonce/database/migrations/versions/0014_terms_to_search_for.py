"""The words of checkouts' descriptions and metadata, so that a search finds them.

They are written in the background, for older checkouts, too. The release before does not know of them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Create the table."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "search_term",
        sa.Column("merchant_id", text, nullable=False),
        sa.Column("mode", sa.Text(), nullable=False, server_default="test"),
        sa.Column("term", text, nullable=False),
        sa.Column("checkout_id", text, nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "mode", "term", "checkout_id", name="search_term_pkey"),
        sa.CheckConstraint("mode IN ('test', 'live')", name="search_term_mode"),
        sqlite_with_rowid=False,
    )
