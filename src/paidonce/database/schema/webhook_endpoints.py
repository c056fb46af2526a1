"""Webhooks to merchants."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from paidonce.database.schema.base import Id, metadata, mode, partial_index

# An endpoint whose receiver has not taken a webhook since its first failure.
FAILING: Final = "deleted_at IS NULL AND failing_since IS NOT NULL"

webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    Column("id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False),
    *mode("webhook_endpoint"),
    Column("url", Text, nullable=False),
    Column("event_types", Text, comment="a JSON array; none means every type that tells of money"),
    Column("description", Text),
    Column("secret", Text, comment="encrypted; none once the endpoint is deleted"),
    Column("former_secret", Text, comment="encrypted; signs too until former_secret_until"),
    Column("former_secret_until", BigInteger),
    Column("failing_since", BigInteger, comment="the first failed try since the newest success"),
    Column("paused_at", BigInteger, comment="nothing is sent from then on, and nothing is lost"),
    Column("pause_reason", Text),
    Column("version", Integer, nullable=False, comment="counts its changes; each is made to the one that was seen"),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),
    Column(
        "deleted_number",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="number of the newest delivery that was deleted",
    ),
    PrimaryKeyConstraint("id", "merchant_id", name="webhook_endpoint_pkey"),
    CheckConstraint(
        "(paused_at IS NOT NULL) = (pause_reason IS NOT NULL AND pause_reason IN ('request', 'gone', 'failing'))",
        name="webhook_endpoint_paused_says_why",
    ),
    CheckConstraint("(deleted_at IS NULL) = (secret IS NOT NULL)", name="webhook_endpoint_deleted_has_no_secret"),
    CheckConstraint(
        "(former_secret IS NULL) = (former_secret_until IS NULL)", name="webhook_endpoint_former_secret_ends"
    ),
    partial_index("webhook_endpoint_by_merchant", "merchant_id", "id", where="deleted_at IS NULL"),
    partial_index("webhook_endpoint_failing", "failing_since", where=FAILING),
    sqlite_with_rowid=False,
)

# A delivery that is not tried again until somebody asks for it.
FAILED: Final = "status = 'FAILED'"

delivery = Table(
    "delivery",
    metadata,
    Column("id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False),
    Column("endpoint_id", Id, nullable=False),
    Column("event_id", Id, nullable=False),
    Column("number", BigInteger, nullable=False, comment="gap-free for each endpoint"),
    Column("status", Text, nullable=False),
    Column("due_at", BigInteger, comment="when to send it; the end of the lease while somebody does"),
    Column("fence", Integer, nullable=False, comment="counts the claims; each writes under its own"),
    Column("failures", Integer, nullable=False, comment="failed tries since it was last made due by hand"),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("delivered_at", BigInteger, comment="the newest try that succeeded"),
    PrimaryKeyConstraint("id", "merchant_id", name="delivery_pkey"),
    ForeignKeyConstraint(
        ["endpoint_id", "merchant_id"],
        ["webhook_endpoint.id", "webhook_endpoint.merchant_id"],
        name="delivery_endpoint_fkey",
    ),
    ForeignKeyConstraint(["event_id", "merchant_id"], ["event.id", "event.merchant_id"], name="delivery_event_fkey"),
    UniqueConstraint("endpoint_id", "merchant_id", "number", name="delivery_number"),
    CheckConstraint(
        "status IN ('PENDING', 'SENDING', 'DELIVERED', 'FAILED', 'DROPPED')",
        name="delivery_status",
    ),
    CheckConstraint("(due_at IS NOT NULL) = (status IN ('PENDING', 'SENDING'))", name="delivery_due_is_open"),
    CheckConstraint("status <> 'DELIVERED' OR delivered_at IS NOT NULL", name="delivery_delivered_says_when"),
    # The event comes first: so the deliveries of an event are found, also by the foreign key where it is deleted.
    Index("delivery_once_for_each_event", "event_id", "merchant_id", "endpoint_id", unique=True),
    # Read endpoint by endpoint, so that a backlog of one costs the others nothing.
    partial_index("delivery_due", "endpoint_id", "merchant_id", "due_at", where="due_at IS NOT NULL"),
    Index("delivery_by_endpoint", "endpoint_id", "merchant_id", "id"),
    partial_index("delivery_failed", "endpoint_id", "merchant_id", "id", where=FAILED),
    sqlite_with_rowid=False,
)

redelivery = Table(
    "redelivery",
    metadata,
    Column("id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False),
    Column("endpoint_id", Id, nullable=False),
    Column("from_sequence", BigInteger, nullable=False),
    Column("to_sequence", BigInteger, nullable=False),
    Column("next_sequence", BigInteger, nullable=False, comment="the first event that was not looked at yet"),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", "merchant_id", name="redelivery_pkey"),
    ForeignKeyConstraint(
        ["endpoint_id", "merchant_id"],
        ["webhook_endpoint.id", "webhook_endpoint.merchant_id"],
        name="redelivery_endpoint_fkey",
    ),
    CheckConstraint(
        "from_sequence <= next_sequence AND next_sequence <= to_sequence", name="redelivery_is_not_carried_out"
    ),
    Index("redelivery_by_endpoint", "endpoint_id", "merchant_id", "id"),
    Index("redelivery_longest_waiting", "updated_at", "id"),
    sqlite_with_rowid=False,
)

delivery_try = Table(
    "delivery_try",
    metadata,
    Column("delivery_id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False),
    Column("number", Integer, nullable=False, comment="the fence of the claim that it was made under"),
    Column("started_at", BigInteger, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("status_code", Integer, comment="the receiver's; none where it did not answer"),
    Column("error", Text, comment="why it counts as failed"),
    Column("answer", Text, comment="the first bytes of what the receiver answered"),
    PrimaryKeyConstraint("delivery_id", "merchant_id", "number", name="delivery_try_pkey"),
    ForeignKeyConstraint(
        ["delivery_id", "merchant_id"], ["delivery.id", "delivery.merchant_id"], name="delivery_try_delivery_fkey"
    ),
    sqlite_with_rowid=False,
)
