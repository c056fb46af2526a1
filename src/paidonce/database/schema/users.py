"""People who use the dashboard, their sessions, and what they did where no checkout tells it.

These are few rows. Users and sessions are found by an e-mail address or a token that belongs to no merchant, so a
distributed PostgreSQL keeps these tables whole on its coordinator.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from paidonce.database.schema.base import Id, metadata, partial_index

dashboard_user = Table(
    "dashboard_user",
    metadata,
    Column("id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False, comment="empty: an operator, who belongs to no merchant"),
    Column("email", Id, nullable=False, comment="in lower case"),
    Column("role", Text, nullable=False),
    Column("password_hash", Text, comment="Argon2id, as a PHC string; none until the first password is set"),
    Column("totp_secret", Text, comment="encrypted; none without a second factor"),
    Column("totp_step", BigInteger, comment="the newest time step whose code was used: no code is used twice"),
    Column("recovery_codes", Text, comment="a JSON array of SHA-256 hashes; those that were not used yet"),
    Column("link_hash", Id, comment="SHA-256 of the token of the one-time link, in hexadecimal"),
    Column("link_expires_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("last_login_at", BigInteger),
    Column("disabled_at", BigInteger),
    PrimaryKeyConstraint("id", name="dashboard_user_pkey"),
    UniqueConstraint("email", name="dashboard_user_email"),
    CheckConstraint("role IN ('viewer', 'refunds', 'admin', 'operator')", name="dashboard_user_role"),
    CheckConstraint("(role = 'operator') = (merchant_id = '')", name="dashboard_user_operator_has_no_merchant"),
    CheckConstraint("password_hash LIKE '$argon2id$%'", name="dashboard_user_password_is_hashed"),
    CheckConstraint("totp_secret LIKE 'v_.%'", name="dashboard_user_totp_secret_is_encrypted"),
    CheckConstraint("(link_hash IS NULL) = (link_expires_at IS NULL)", name="dashboard_user_link_expires"),
    Index("dashboard_user_by_merchant", "merchant_id", "id"),
    partial_index("dashboard_user_by_link", "link_hash", where="link_hash IS NOT NULL"),
    sqlite_with_rowid=False,
)

dashboard_session = Table(
    "dashboard_session",
    metadata,
    Column("id", Id, nullable=False),
    Column("user_id", Id, nullable=False),
    Column("token_hash", Id, nullable=False, comment="SHA-256 of the cookie's token, in hexadecimal"),
    Column("address", Text, nullable=False, comment="from which the person logged in"),
    Column("user_agent", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=False, comment="to the minute"),
    Column("expires_at", BigInteger, nullable=False, comment="however much it is used"),
    Column("verified_at", BigInteger, comment="none: it only opens the page that asks for the second factor"),
    PrimaryKeyConstraint("id", name="dashboard_session_pkey"),
    UniqueConstraint("token_hash", name="dashboard_session_token"),
    ForeignKeyConstraint(["user_id"], ["dashboard_user.id"], name="dashboard_session_user_fkey"),
    CheckConstraint("length(token_hash) = 64", name="dashboard_session_is_hashed"),
    Index("dashboard_session_by_user", "user_id", "id"),
    Index("dashboard_session_to_delete", "expires_at"),
    sqlite_with_rowid=False,
)

audit_entry = Table(
    "audit_entry",
    metadata,
    Column("id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False, comment="empty: it concerns no merchant"),
    Column("type", Text, nullable=False),
    Column("actor", Text, comment="who did it: a user, or the command line; none where nobody is logged in"),
    Column("subject", Text, comment="what it was done to, or the e-mail address of a failed log-in"),
    Column("detail", Text, comment="a JSON object"),
    Column("outcome", Text, comment="done, or the code of an error; none where the process ended before it was known"),
    Column("address", Text, nullable=False),
    Column("request_id", Text),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="audit_entry_pkey"),
    Index("audit_entry_by_merchant", "merchant_id", "id"),
    sqlite_with_rowid=False,
)
