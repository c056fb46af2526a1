"""Figures that are counted from the event log, and up to which event."""

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, PrimaryKeyConstraint, Table, Text

from paidonce.database.schema.base import Id, metadata

COUNTS: Final = (
    "checkouts_created",
    "payments_succeeded",
    "payments_declined",
    "checkouts_expired",
    "checkouts_canceled",
    "amount_captured",
)

hourly_statistics = Table(
    "hourly_statistics",
    metadata,
    Column("merchant_id", Id, nullable=False),
    Column("mode", Text, nullable=False),
    Column("hour", BigInteger, nullable=False, comment="when it begins, in UTC"),
    Column("currency", Text, nullable=False),
    Column("provider", Text, nullable=False, comment="empty: what happened without an attempt"),
    *(Column(name, BigInteger, nullable=False) for name in COUNTS),
    Column("amount_refunded", BigInteger, nullable=False, comment="less those that failed after all"),
    Column("amount_disputed", BigInteger, nullable=False, comment="less those that were won"),
    Column("declines", Text, nullable=False, comment="a JSON object: how many declined payments have each code"),
    Column(
        "settle_times",
        Text,
        nullable=False,
        comment="a JSON object: a histogram, by upper bounds in milliseconds",
    ),
    PrimaryKeyConstraint("merchant_id", "mode", "hour", "currency", "provider", name="hourly_statistics_pkey"),
    CheckConstraint("mode IN ('test', 'live')", name="hourly_statistics_mode"),
    CheckConstraint("hour % 3600000 = 0", name="hourly_statistics_begins_with_its_hour"),
    CheckConstraint(" AND ".join(f"{name} >= 0" for name in COUNTS), name="hourly_statistics_counts"),
    sqlite_with_rowid=False,
)

# Moved in the transaction that adds what the events count as.
statistics_cursor = Table(
    "statistics_cursor",
    metadata,
    Column("merchant_id", Id, nullable=False),
    Column("mode", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False, comment="number of the newest event that is counted"),
    Column("counted_at", BigInteger, nullable=False, comment="when that event was written"),
    PrimaryKeyConstraint("merchant_id", "mode", name="statistics_cursor_pkey"),
    CheckConstraint("mode IN ('test', 'live')", name="statistics_cursor_mode"),
    CheckConstraint("sequence >= 0", name="statistics_cursor_sequence"),
    sqlite_with_rowid=False,
)
