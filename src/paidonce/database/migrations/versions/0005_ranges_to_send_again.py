"""Ranges of events that are to be sent again to a webhook endpoint.

The release before neither writes nor reads them. What it sends again, it sends at once.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "redelivery",
        sa.Column("id", Id, nullable=False),
        sa.Column("merchant_id", Id, nullable=False),
        sa.Column("endpoint_id", Id, nullable=False),
        sa.Column("from_sequence", sa.BigInteger(), nullable=False),
        sa.Column("to_sequence", sa.BigInteger(), nullable=False),
        sa.Column(
            "next_sequence", sa.BigInteger(), nullable=False, comment="the first event that was not looked at yet"
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", "merchant_id", name="redelivery_pkey"),
        sa.ForeignKeyConstraint(
            ["endpoint_id", "merchant_id"],
            ["webhook_endpoint.id", "webhook_endpoint.merchant_id"],
            name="redelivery_endpoint_fkey",
        ),
        sa.CheckConstraint(
            "from_sequence <= next_sequence AND next_sequence <= to_sequence", name="redelivery_is_not_carried_out"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("redelivery_by_endpoint", "redelivery", ["endpoint_id", "merchant_id", "id"])
    op.create_index("redelivery_longest_waiting", "redelivery", ["updated_at", "id"])
