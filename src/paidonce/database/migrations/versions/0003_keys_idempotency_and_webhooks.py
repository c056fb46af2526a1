"""Merchants' keys, answers kept for idempotency keys, and webhooks to merchants."""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables."""
