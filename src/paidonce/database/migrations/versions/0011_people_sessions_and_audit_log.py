"""People who use the dashboard, their sessions, and the audit log.

The release before neither writes nor reads them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

HAS_LINK = "link_hash IS NOT NULL"


def upgrade() -> None:
    """Create the tables and their indexes."""
    _create_dashboard_users()
    _create_dashboard_sessions()
    _create_audit_entries()


def _create_dashboard_users() -> None:
    op.create_table(
        "dashboard_user",
        sa.Column("id", Id, nullable=False),
        sa.Column("merchant_id", Id, nullable=False, comment="empty: an operator, who belongs to no merchant"),
        sa.Column("email", Id, nullable=False, comment="in lower case"),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column(
            "password_hash", sa.Text(), comment="Argon2id, as a PHC string; none until the first password is set"
        ),
        sa.Column("totp_secret", sa.Text(), comment="encrypted; none without a second factor"),
        sa.Column(
            "totp_step", sa.BigInteger(), comment="the newest time step whose code was used: no code is used twice"
        ),
        sa.Column("recovery_codes", sa.Text(), comment="a JSON array of SHA-256 hashes; those that were not used yet"),
        sa.Column("link_hash", Id, comment="SHA-256 of the token of the one-time link, in hexadecimal"),
        sa.Column("link_expires_at", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("last_login_at", sa.BigInteger()),
        sa.Column("disabled_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="dashboard_user_pkey"),
        sa.UniqueConstraint("email", name="dashboard_user_email"),
        sa.CheckConstraint("role IN ('viewer', 'refunds', 'admin', 'operator')", name="dashboard_user_role"),
        sa.CheckConstraint("(role = 'operator') = (merchant_id = '')", name="dashboard_user_operator_has_no_merchant"),
        sa.CheckConstraint("password_hash LIKE '$argon2id$%'", name="dashboard_user_password_is_hashed"),
        sa.CheckConstraint("totp_secret LIKE 'v_.%'", name="dashboard_user_totp_secret_is_encrypted"),
        sa.CheckConstraint("(link_hash IS NULL) = (link_expires_at IS NULL)", name="dashboard_user_link_expires"),
        sqlite_with_rowid=False,
    )
    op.create_index("dashboard_user_by_merchant", "dashboard_user", ["merchant_id", "id"])
    op.create_index(
        "dashboard_user_by_link",
        "dashboard_user",
        ["link_hash"],
        sqlite_where=sa.text(HAS_LINK),
        postgresql_where=sa.text(HAS_LINK),
    )


def _create_dashboard_sessions() -> None:
    op.create_table(
        "dashboard_session",
        sa.Column("id", Id, nullable=False),
        sa.Column("user_id", Id, nullable=False),
        sa.Column("token_hash", Id, nullable=False, comment="SHA-256 of the cookie's token, in hexadecimal"),
        sa.Column("address", sa.Text(), nullable=False, comment="from which the person logged in"),
        sa.Column("user_agent", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False, comment="to the minute"),
        sa.Column("expires_at", sa.BigInteger(), nullable=False, comment="however much it is used"),
        sa.Column(
            "verified_at", sa.BigInteger(), comment="none: it only opens the page that asks for the second factor"
        ),
        sa.PrimaryKeyConstraint("id", name="dashboard_session_pkey"),
        sa.UniqueConstraint("token_hash", name="dashboard_session_token"),
        sa.ForeignKeyConstraint(["user_id"], ["dashboard_user.id"], name="dashboard_session_user_fkey"),
        sa.CheckConstraint("length(token_hash) = 64", name="dashboard_session_is_hashed"),
        sqlite_with_rowid=False,
    )
    op.create_index("dashboard_session_by_user", "dashboard_session", ["user_id", "id"])
    op.create_index("dashboard_session_to_delete", "dashboard_session", ["expires_at"])


def _create_audit_entries() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("id", Id, nullable=False),
        sa.Column("merchant_id", Id, nullable=False, comment="empty: it concerns no merchant"),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column(
            "actor", sa.Text(), comment="who did it: a user, or the command line; none where nobody is logged in"
        ),
        sa.Column("subject", sa.Text(), comment="what it was done to, or the e-mail address of a failed log-in"),
        sa.Column("detail", sa.Text(), comment="a JSON object"),
        sa.Column(
            "outcome",
            sa.Text(),
            comment="done, or the code of an error; none where the process ended before it was known",
        ),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="audit_entry_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_index("audit_entry_by_merchant", "audit_entry", ["merchant_id", "id"])
