"""Disputes, refunds and releases that were made at the provider, and when an authorization lapses.

The release before neither writes nor reads them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

RECORDED = "initiated_by IS NOT NULL"
OF_AN_ACCOUNT = "account_id IS NOT NULL"
DUE = "due_at IS NOT NULL"
APPLIED = "applied_at IS NOT NULL"


def upgrade() -> None:
    """Add the table, the columns and the results."""
    # Written as SQL: with a constraint in the column, SQLite need not make the table anew.
    for column, constraint in (
        ("checkout ADD COLUMN amount_disputed BIGINT DEFAULT '0' NOT NULL", "checkout_amount_disputed"),
        ("checkout ADD COLUMN expires_at_requested BIGINT", "checkout_expires_before_requested"),
        ("attempt ADD COLUMN initiated_by TEXT", "attempt_initiated_by"),
    ):
        op.execute(f"ALTER TABLE {column} CONSTRAINT {constraint} CHECK ({CHECKS[constraint]})")
    if op.get_bind().dialect.name == "postgresql":
        for name, comment in COMMENTS.items():
            op.execute(f"COMMENT ON COLUMN {name} IS '{comment}'")
    for name, columns, where, is_unique in (
        ("attempt_recorded_once", ["checkout_id", "merchant_id", "kind", "provider_reference"], RECORDED, True),
        ("attempt_by_provider_reference", ["provider_reference"], OF_AN_ACCOUNT, False),
        ("attempt_by_session_reference", ["session_reference"], OF_AN_ACCOUNT, False),
    ):
        op.create_index(
            name, "attempt", columns, unique=is_unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
        )
    _create_disputes()
    # SQLite cannot alter a constraint: there the table is made anew, from this, and its rows are copied.
    with op.batch_alter_table("provider_webhook", copy_from=_provider_webhook()) as batch:
        batch.add_column(
            sa.Column("reference", sa.Text(), comment="the provider's reference of the attempt, where there is no key")
        )
        batch.alter_column(
            "evidence",
            existing_type=sa.Text(),
            comment="a JSON object: what it proves, or what happened to the charge",
            existing_comment="a JSON object: what it proves",
        )
        batch.drop_constraint("provider_webhook_result", type_="check")
        batch.create_check_constraint(
            "provider_webhook_result",
            "result IS NULL OR result IN ('CHANGED', 'KNOWN', 'NO_NEWS', 'ATTEMPT_NOT_FOUND', 'FAILED', 'POSTPONED',"
            " 'NEEDS_REVIEW')",
        )


CHECKS = {
    "checkout_amount_disputed": "amount_disputed >= 0",
    "checkout_expires_before_requested": "expires_at_requested > expires_at",
    "attempt_initiated_by": "initiated_by = 'provider'",
}
COMMENTS = {
    "checkout.amount_disputed": "of disputes open or lost",
    "checkout.expires_at_requested": "the client''s, where the authorization lapses before",
    "attempt.initiated_by": "provider: it was made there, without a request of ours",
}


def _create_disputes() -> None:
    op.create_table(
        "dispute",
        sa.Column("id", Id, nullable=False),
        sa.Column("merchant_id", Id, nullable=False),
        sa.Column("checkout_id", Id, nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("account_id", Id),
        sa.Column("reference", Id, nullable=False, comment="the provider's"),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False, comment="minor units"),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), comment="as the provider gave it"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", "merchant_id", name="dispute_pkey"),
        sa.ForeignKeyConstraint(
            ["checkout_id", "merchant_id"], ["checkout.id", "checkout.merchant_id"], name="dispute_checkout_fkey"
        ),
        sa.UniqueConstraint("checkout_id", "merchant_id", "provider", "reference", name="dispute_recorded_once"),
        sa.CheckConstraint("status IN ('OPENED', 'WON', 'LOST')", name="dispute_status"),
        sa.CheckConstraint("(closed_at IS NOT NULL) = (status IN ('WON', 'LOST'))", name="dispute_closed_says_when"),
        sa.CheckConstraint("amount > 0", name="dispute_amount"),
        sqlite_with_rowid=False,
    )


def _provider_webhook() -> sa.Table:
    """Describe the table as the migration before left it."""
    return sa.Table(
        "provider_webhook",
        sa.MetaData(),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("id", Id, nullable=False, comment="the provider's"),
        sa.Column("attempt_key", Id, comment="the provider key of the attempt that it tells of"),
        sa.Column("evidence", sa.Text(), comment="a JSON object: what it proves"),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), comment="when to apply it, if it is not applied by then"),
        sa.Column("applied_at", sa.BigInteger()),
        sa.Column("result", sa.Text()),
        sa.PrimaryKeyConstraint("provider", "id", name="provider_webhook_pkey"),
        sa.CheckConstraint(
            "(applied_at IS NOT NULL) = (result IS NOT NULL AND result IN ('CHANGED', 'KNOWN', 'NO_NEWS'))",
            name="provider_webhook_applied_has_a_result",
        ),
        sa.CheckConstraint("applied_at IS NULL OR due_at IS NULL", name="provider_webhook_applied_is_not_due"),
        sa.CheckConstraint(
            "result IS NULL OR result IN ('CHANGED', 'KNOWN', 'NO_NEWS', 'ATTEMPT_NOT_FOUND', 'FAILED')",
            name="provider_webhook_result",
        ),
        sa.Index("provider_webhook_due", "due_at", sqlite_where=sa.text(DUE)),
        sa.Index("provider_webhook_applied", "applied_at", sqlite_where=sa.text(APPLIED)),
        sqlite_with_rowid=False,
    )
