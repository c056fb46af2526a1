"""Attempts to move money, and disputes."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from paidonce.database.schema.base import Id, metadata, mode, partial_index

# An attempt that is under way and changes the status of its checkout when it ends.
MOVES_ITS_CHECKOUT: Final = (
    "status IN ('READY', 'SENT', 'REQUIRES_ACTION', 'ACCEPTED', 'UNKNOWN', 'NEEDS_REVIEW')"
    " AND kind NOT IN ('REFUND', 'REVERSAL')"
)

# An unconfirmed outcome. Statements use this exact text, so that both databases find the partial index.
UNPROVEN: Final = "status IN ('UNKNOWN', 'NEEDS_REVIEW')"

# The provider has accepted the operation, and owes its outcome.
ACCEPTED_ONLY: Final = "status = 'ACCEPTED'"

# An outcome that is owed or unconfirmed.
AWAITING_PROOF: Final = "status IN ('ACCEPTED', 'UNKNOWN', 'NEEDS_REVIEW')"

attempt = Table(
    "attempt",
    metadata,
    Column("id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False),
    *mode("attempt"),
    Column("checkout_id", Id, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("provider_key", Id, nullable=False, comment="the idempotency key that the provider sees, fixed here"),
    Column("payment_method", Text, nullable=False),
    Column("amount", BigInteger, nullable=False, comment="minor units"),
    Column("currency", Text, nullable=False),
    Column("due_at", BigInteger, comment="when a worker should take it; the end of the lease while one has it"),
    Column("fence", Integer, nullable=False, comment="counts the workers that had it; each writes under its own"),
    Column("lookup_count", Integer, nullable=False, server_default="0"),
    Column("charge_reference", Text, comment="the provider's charge that this changes"),
    Column("reason", Text, comment="the client's, for a refund"),
    Column("provider_reference", Text),
    Column("decline_code", Text),
    Column("account_id", Id, comment="the merchant's account with the provider; none at the simulator"),
    Column("raw_decline_code", Text, comment="as the provider gave it"),
    Column("session_reference", Text, comment="the provider's session that the buyer pays"),
    Column("session_expires_at", BigInteger, comment="when the session is closed, if it is not paid"),
    Column("action", Text, comment="a JSON object: what the buyer must do"),
    Column("return_url", Text, comment="where the provider sends the buyer back to; it ends with return_token"),
    Column("return_token", Id),
    Column("close_reason", Text, comment="why the session is being closed before it expires"),
    Column("initiated_by", Text, comment="provider: it was made there, without a request of ours"),
    Column("fallbacks", Text, comment="a JSON array: the accounts that were not tried yet, for an attempt to pay"),
    Column("reverses", Text, comment="authorization: this reversal releases one; without it, it refunds a charge"),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("settled_at", BigInteger),
    PrimaryKeyConstraint("id", "merchant_id", name="attempt_pkey"),
    ForeignKeyConstraint(
        ["checkout_id", "merchant_id"], ["checkout.id", "checkout.merchant_id"], name="attempt_checkout_fkey"
    ),
    CheckConstraint("kind IN ('CHARGE', 'AUTHORIZE', 'CAPTURE', 'VOID', 'REFUND', 'REVERSAL')", name="attempt_kind"),
    CheckConstraint(
        "status IN ('READY', 'SENT', 'REQUIRES_ACTION', 'ACCEPTED', 'UNKNOWN', 'NEEDS_REVIEW', 'SUCCEEDED',"
        " 'DECLINED')",
        name="attempt_status",
    ),
    CheckConstraint(
        "(settled_at IS NOT NULL) = (status IN ('SUCCEEDED', 'DECLINED'))", name="attempt_settled_is_final"
    ),
    CheckConstraint(
        "(due_at IS NOT NULL) = (status IN ('READY', 'SENT', 'REQUIRES_ACTION', 'ACCEPTED', 'UNKNOWN'))",
        name="attempt_due_is_open",
    ),
    CheckConstraint(
        "(action IS NOT NULL) = (status = 'REQUIRES_ACTION') AND (action IS NULL OR session_reference IS NOT NULL)",
        name="attempt_action_is_required",
    ),
    CheckConstraint(
        "close_reason IS NULL OR (close_reason IN ('canceled', 'replaced') AND session_reference IS NOT NULL)",
        name="attempt_close_reason",
    ),
    CheckConstraint("initiated_by = 'provider'", name="attempt_initiated_by"),
    CheckConstraint(
        "fallbacks IS NULL OR (kind IN ('CHARGE', 'AUTHORIZE') AND account_id IS NOT NULL)", name="attempt_fallbacks"
    ),
    CheckConstraint("reverses IS NULL OR (reverses = 'authorization' AND kind = 'REVERSAL')", name="attempt_reverses"),
    CheckConstraint("(status = 'READY') <= (fence = 0)", name="attempt_ready_is_untouched"),
    CheckConstraint("(decline_code IS NOT NULL) = (status = 'DECLINED')", name="attempt_declined_says_why"),
    Index("attempt_by_checkout", "checkout_id", "merchant_id"),
    # At most one attempt under way for each checkout, except for refunds, of which there may be several.
    partial_index("attempt_one_under_way", "checkout_id", "merchant_id", where=MOVES_ITS_CHECKOUT, unique=True),
    partial_index("attempt_due", "provider", "due_at", where="due_at IS NOT NULL"),
    partial_index("attempt_by_return_token", "return_token", where="return_token IS NOT NULL"),
    # What was made at the provider is recorded once.
    partial_index(
        "attempt_recorded_once",
        "checkout_id",
        "merchant_id",
        "kind",
        "provider_reference",
        where="initiated_by IS NOT NULL",
        unique=True,
    ),
    # For webhooks that hold the provider's references only. The simulator's hold our keys.
    partial_index("attempt_by_provider_reference", "provider_reference", where="account_id IS NOT NULL"),
    partial_index("attempt_by_session_reference", "session_reference", where="account_id IS NOT NULL"),
    partial_index("attempt_unproven", "status", "created_at", where=UNPROVEN),
    partial_index("attempt_accepted", "created_at", where=ACCEPTED_ONLY),
    # For one merchant's pages. Few attempts are ever in it, so that it costs a payment nothing that ends at once.
    partial_index("attempt_awaiting_proof", "merchant_id", "mode", "status", "created_at", where=AWAITING_PROOF),
    sqlite_with_rowid=False,
)

# What buyers' banks dispute. A provider tells of each several times, and in any order.
dispute = Table(
    "dispute",
    metadata,
    Column("id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False),
    Column("checkout_id", Id, nullable=False),
    Column("provider", Text, nullable=False),
    Column("account_id", Id),
    Column("reference", Id, nullable=False, comment="the provider's"),
    Column("status", Text, nullable=False),
    Column("amount", BigInteger, nullable=False, comment="minor units"),
    Column("currency", Text, nullable=False),
    Column("reason", Text, comment="as the provider gave it"),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    PrimaryKeyConstraint("id", "merchant_id", name="dispute_pkey"),
    ForeignKeyConstraint(
        ["checkout_id", "merchant_id"], ["checkout.id", "checkout.merchant_id"], name="dispute_checkout_fkey"
    ),
    UniqueConstraint("checkout_id", "merchant_id", "provider", "reference", name="dispute_recorded_once"),
    CheckConstraint("status IN ('OPENED', 'WON', 'LOST')", name="dispute_status"),
    CheckConstraint("(closed_at IS NOT NULL) = (status IN ('WON', 'LOST'))", name="dispute_closed_says_when"),
    CheckConstraint("amount > 0", name="dispute_amount"),
    sqlite_with_rowid=False,
)
