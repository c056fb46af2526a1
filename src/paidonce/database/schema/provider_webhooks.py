"""Webhooks from payment providers."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from paidonce.database.schema.base import Id, metadata, partial_index

# A webhook that could not be applied, and is not tried again: a person must look at it.
GIVEN_UP: Final = "applied_at IS NULL AND due_at IS NULL"

# The webhooks of a provider belong to no merchant: rows are found by the provider's id, and merchants cannot read them.
provider_webhook = Table(
    "provider_webhook",
    metadata,
    Column("provider", Text, nullable=False),
    Column("id", Id, nullable=False, comment="the provider's"),
    Column("attempt_key", Id, comment="the provider key of the attempt that it tells of"),
    Column("reference", Text, comment="the provider's reference of the attempt, where there is no key"),
    Column("evidence", Text, comment="a JSON object: what it proves, or what happened to the charge"),
    Column("body", Text, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due_at", BigInteger, comment="when to apply it, if it is not applied by then"),
    Column("applied_at", BigInteger),
    Column("result", Text),
    PrimaryKeyConstraint("provider", "id", name="provider_webhook_pkey"),
    CheckConstraint(
        "(applied_at IS NOT NULL) = (result IS NOT NULL AND result IN ('CHANGED', 'KNOWN', 'NO_NEWS'))",
        name="provider_webhook_applied_has_a_result",
    ),
    CheckConstraint("applied_at IS NULL OR due_at IS NULL", name="provider_webhook_applied_is_not_due"),
    CheckConstraint(
        "result IS NULL OR result IN ('CHANGED', 'KNOWN', 'NO_NEWS', 'ATTEMPT_NOT_FOUND', 'FAILED', 'POSTPONED',"
        " 'NEEDS_REVIEW')",
        name="provider_webhook_result",
    ),
    partial_index("provider_webhook_due", "due_at", where="due_at IS NOT NULL"),
    partial_index("provider_webhook_applied", "applied_at", where="applied_at IS NOT NULL"),
    partial_index("provider_webhook_given_up", "result", "received_at", where=GIVEN_UP),
    sqlite_with_rowid=False,
)
