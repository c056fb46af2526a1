"""Figures for each hour that are counted from the event log, and up to which event.

The tables begin empty: events of before are counted in the background. The release before neither writes nor reads
them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
COUNTS = (
    "checkouts_created",
    "payments_succeeded",
    "payments_declined",
    "checkouts_expired",
    "checkouts_canceled",
    "amount_captured",
)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "hourly_statistics",
        sa.Column("merchant_id", Id, nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False, comment="when it begins, in UTC"),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False, comment="empty: what happened without an attempt"),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTS),
        sa.Column("amount_refunded", sa.BigInteger(), nullable=False, comment="less those that failed after all"),
        sa.Column("amount_disputed", sa.BigInteger(), nullable=False, comment="less those that were won"),
        sa.Column(
            "declines", sa.Text(), nullable=False, comment="a JSON object: how many declined payments have each code"
        ),
        sa.Column(
            "settle_times",
            sa.Text(),
            nullable=False,
            comment="a JSON object: a histogram, by upper bounds in milliseconds",
        ),
        sa.PrimaryKeyConstraint("merchant_id", "mode", "hour", "currency", "provider", name="hourly_statistics_pkey"),
        sa.CheckConstraint("mode IN ('test', 'live')", name="hourly_statistics_mode"),
        sa.CheckConstraint("hour % 3600000 = 0", name="hourly_statistics_begins_with_its_hour"),
        sa.CheckConstraint(" AND ".join(f"{name} >= 0" for name in COUNTS), name="hourly_statistics_counts"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "statistics_cursor",
        sa.Column("merchant_id", Id, nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False, comment="number of the newest event that is counted"),
        sa.Column("counted_at", sa.BigInteger(), nullable=False, comment="when that event was written"),
        sa.PrimaryKeyConstraint("merchant_id", "mode", name="statistics_cursor_pkey"),
        sa.CheckConstraint("mode IN ('test', 'live')", name="statistics_cursor_mode"),
        sa.CheckConstraint("sequence >= 0", name="statistics_cursor_sequence"),
        sqlite_with_rowid=False,
    )
