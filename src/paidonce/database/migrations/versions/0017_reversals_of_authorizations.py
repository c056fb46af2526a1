"""What a reversal gives back: a charge, or an authorization, which is released.

The release before tries to refund an authorization, which providers refuse: then the reversal waits for a person.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

REVERSES = "reverses IS NULL OR (reverses = 'authorization' AND kind = 'REVERSAL')"


def upgrade() -> None:
    """Add the column with its constraint, which both databases can do at once."""
    op.add_column(
        "attempt",
        sa.Column(
            "reverses",
            sa.Text(),
            sa.CheckConstraint(REVERSES, name="attempt_reverses"),
            comment="authorization: this reversal releases one; without it, it refunds a charge",
        ),
    )
