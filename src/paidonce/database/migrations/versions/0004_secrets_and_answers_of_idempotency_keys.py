"""What a repeated call is shown again: the secret of its answer, encrypted, and an answer that is no resource.

The release before writes neither column and reads neither: both may stay empty.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns."""
    op.add_column(
        "idempotency_key",
        sa.Column("secret", sa.Text(), nullable=True, comment="encrypted; what the answer showed once"),
    )
    op.add_column(
        "idempotency_key",
        sa.Column(
            "answer",
            sa.Text(),
            nullable=True,
            comment="the body of the answer, where it is no resource that can be read again",
        ),
    )
