"""The accounts with which a payment continues if it is proven not to have begun with the one before.

The release before neither writes nor reads them: an attempt that it ends does not continue.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

FALLBACKS = "fallbacks IS NULL OR (kind IN ('CHARGE', 'AUTHORIZE') AND account_id IS NOT NULL)"


def upgrade() -> None:
    """Add the column with its constraint, which both databases can do at once."""
    op.add_column(
        "attempt",
        sa.Column(
            "fallbacks",
            sa.Text(),
            sa.CheckConstraint(FALLBACKS, name="attempt_fallbacks"),
            comment="a JSON array: the accounts that were not tried yet, for an attempt to pay",
        ),
    )
