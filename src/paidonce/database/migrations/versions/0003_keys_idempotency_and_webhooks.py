"""Merchants' keys, answers kept for idempotency keys, and webhooks to merchants."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables."""
    _find_what_is_unproven_or_old()


def _find_what_is_unproven_or_old() -> None:
    """Let the oldest outcome without a proof, and webhooks that are long applied, be found without a search."""
    unproven = sa.text("status IN ('UNKNOWN', 'NEEDS_REVIEW')")
    op.create_index(
        "attempt_unproven",
        "attempt",
        ["status", "created_at"],
        unique=False,
        sqlite_where=unproven,
        postgresql_where=unproven,
    )
    applied = sa.text("applied_at IS NOT NULL")
    op.create_index(
        "provider_webhook_applied",
        "provider_webhook",
        ["applied_at"],
        unique=False,
        sqlite_where=applied,
        postgresql_where=applied,
    )
