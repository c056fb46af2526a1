"""Sessions at a provider that a buyer pays, what the buyer must do, and outcomes that the provider tells later.

The release before neither writes nor reads them. It leaves attempts of the new statuses alone until they are due.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

MOVED_ITS_CHECKOUT = "status IN ('READY', 'SENT', 'UNKNOWN', 'NEEDS_REVIEW') AND kind NOT IN ('REFUND', 'REVERSAL')"
MOVES_ITS_CHECKOUT = (
    "status IN ('READY', 'SENT', 'REQUIRES_ACTION', 'ACCEPTED', 'UNKNOWN', 'NEEDS_REVIEW')"
    " AND kind NOT IN ('REFUND', 'REVERSAL')"
)
DUE = "due_at IS NOT NULL"
UNPROVEN = "status IN ('UNKNOWN', 'NEEDS_REVIEW')"
RETURNS = "return_token IS NOT NULL"


def upgrade() -> None:
    """Add the columns and the statuses."""
    op.drop_index("attempt_one_under_way", "attempt")
    # SQLite cannot alter a constraint: there the table is made anew, from this, and its rows are copied.
    with op.batch_alter_table("attempt", copy_from=_attempt()) as batch:
        for column in (
            sa.Column("account_id", Id, comment="the merchant's account with the provider; none at the simulator"),
            sa.Column("raw_decline_code", sa.Text(), comment="as the provider gave it"),
            sa.Column("session_reference", sa.Text(), comment="the provider's session that the buyer pays"),
            sa.Column("session_expires_at", sa.BigInteger(), comment="when the session is closed, if it is not paid"),
            sa.Column("action", sa.Text(), comment="a JSON object: what the buyer must do"),
            sa.Column(
                "return_url", sa.Text(), comment="where the provider sends the buyer back to; it ends with return_token"
            ),
            sa.Column("return_token", Id),
            sa.Column("close_reason", sa.Text(), comment="why the session is being closed before it expires"),
        ):
            batch.add_column(column)
        batch.drop_constraint("attempt_status", type_="check")
        batch.drop_constraint("attempt_due_is_open", type_="check")
        batch.create_check_constraint(
            "attempt_status",
            "status IN ('READY', 'SENT', 'REQUIRES_ACTION', 'ACCEPTED', 'UNKNOWN', 'NEEDS_REVIEW', 'SUCCEEDED',"
            " 'DECLINED')",
        )
        batch.create_check_constraint(
            "attempt_due_is_open",
            "(due_at IS NOT NULL) = (status IN ('READY', 'SENT', 'REQUIRES_ACTION', 'ACCEPTED', 'UNKNOWN'))",
        )
        batch.create_check_constraint(
            "attempt_action_is_required",
            "(action IS NOT NULL) = (status = 'REQUIRES_ACTION') AND (action IS NULL OR session_reference IS NOT NULL)",
        )
        batch.create_check_constraint(
            "attempt_close_reason",
            "close_reason IS NULL OR (close_reason IN ('canceled', 'replaced') AND session_reference IS NOT NULL)",
        )
    for name, columns, where, is_unique in (
        ("attempt_one_under_way", ["checkout_id", "merchant_id"], MOVES_ITS_CHECKOUT, True),
        ("attempt_by_return_token", ["return_token"], RETURNS, False),
    ):
        op.create_index(
            name, "attempt", columns, unique=is_unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
        )


def _attempt() -> sa.Table:
    """Describe the table as the migration before left it."""
    return sa.Table(
        "attempt",
        sa.MetaData(),
        sa.Column("id", Id, nullable=False),
        sa.Column("merchant_id", Id, nullable=False),
        sa.Column("checkout_id", Id, nullable=False),
        *(
            sa.Column(name, Id if name == "provider_key" else sa.Text(), nullable=False)
            for name in ("kind", "status", "provider", "provider_key", "payment_method")
        ),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger()),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("lookup_count", sa.Integer(), server_default="0", nullable=False),
        *(sa.Column(name, sa.Text()) for name in ("charge_reference", "reason", "provider_reference", "decline_code")),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", "merchant_id", name="attempt_pkey"),
        sa.ForeignKeyConstraint(
            ["checkout_id", "merchant_id"], ["checkout.id", "checkout.merchant_id"], name="attempt_checkout_fkey"
        ),
        sa.CheckConstraint(
            "kind IN ('CHARGE', 'AUTHORIZE', 'CAPTURE', 'VOID', 'REFUND', 'REVERSAL')", name="attempt_kind"
        ),
        sa.CheckConstraint(
            "status IN ('READY', 'SENT', 'UNKNOWN', 'NEEDS_REVIEW', 'SUCCEEDED', 'DECLINED')", name="attempt_status"
        ),
        sa.CheckConstraint(
            "(settled_at IS NOT NULL) = (status IN ('SUCCEEDED', 'DECLINED'))", name="attempt_settled_is_final"
        ),
        sa.CheckConstraint(
            "(due_at IS NOT NULL) = (status IN ('READY', 'SENT', 'UNKNOWN'))", name="attempt_due_is_open"
        ),
        sa.CheckConstraint("(status = 'READY') <= (fence = 0)", name="attempt_ready_is_untouched"),
        sa.CheckConstraint("(decline_code IS NOT NULL) = (status = 'DECLINED')", name="attempt_declined_says_why"),
        sa.Index("attempt_by_checkout", "checkout_id", "merchant_id"),
        sa.Index("attempt_due", "provider", "due_at", sqlite_where=sa.text(DUE)),
        sa.Index("attempt_unproven", "status", "created_at", sqlite_where=sa.text(UNPROVEN)),
        sqlite_with_rowid=False,
    )
