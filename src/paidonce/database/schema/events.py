"""The event log."""

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

from paidonce.database.schema.base import Id, metadata, mode

event = Table(
    "event",
    metadata,
    Column("id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False),
    *mode("event"),
    Column("sequence", BigInteger, nullable=False, comment="gap-free for each merchant and mode"),
    Column("checkout_id", Id, comment="none where it tells of a webhook endpoint"),
    Column("attempt_id", Id),
    Column("type", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("detail", Text, comment="a JSON object: what changed, beyond the type"),
    Column("request_id", Text),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", "merchant_id", name="event_pkey"),
    UniqueConstraint("merchant_id", "mode", "sequence", name="event_sequence"),
    Index("event_by_checkout", "checkout_id", "merchant_id"),
    sqlite_with_rowid=False,
)

# Where the log of a merchant and mode begins. There is a row once something of the log was deleted or redelivered.
event_log = Table(
    "event_log",
    metadata,
    Column("merchant_id", Id, nullable=False),
    Column("mode", Text, nullable=False),
    Column("first_sequence", BigInteger, nullable=False, comment="events before this number are deleted"),
    Column(
        "first_delivered", BigInteger, nullable=False, comment="deliveries of events before this number are deleted"
    ),
    PrimaryKeyConstraint("merchant_id", "mode", name="event_log_pkey"),
    CheckConstraint("mode IN ('test', 'live')", name="event_log_mode"),
    CheckConstraint("1 <= first_sequence AND first_sequence <= first_delivered", name="event_log_begins"),
    sqlite_with_rowid=False,
)
