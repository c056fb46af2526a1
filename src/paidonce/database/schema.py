"""The tables, defined once for both databases.

Rules that keep the schema suitable for a distributed PostgreSQL: ``merchant_id`` is in every primary key, unique
constraint and foreign key; ids are created by the service; there are no sequences, triggers or advisory locks. Instants
are BIGINT, Unix time in milliseconds. The CHECKs describe valid final rows, in addition to the tables of states in
Python.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

SCHEMA_VERSION: Final = "0010"  # The newest migration. A test compares it with the folder.

metadata = MetaData()

# Ids are compared by bytes, so that they sort by time in every locale.
Id = Text().with_variant(Text(collation="C"), "postgresql")

# An attempt that is under way and changes the status of its checkout when it ends.
MOVES_ITS_CHECKOUT: Final = (
    "status IN ('READY', 'SENT', 'REQUIRES_ACTION', 'ACCEPTED', 'UNKNOWN', 'NEEDS_REVIEW')"
    " AND kind NOT IN ('REFUND', 'REVERSAL')"
)

# An unconfirmed outcome. Statements use this exact text, so that both databases find the partial index.
UNPROVEN: Final = "status IN ('UNKNOWN', 'NEEDS_REVIEW')"

# A checkout that expires, unless its status changes.
EXPIRING: Final = "status IN ('PENDING', 'FAILED', 'AUTHORIZED')"

# A provider account that new payments may use.
USABLE_ACCOUNT: Final = "status = 'ACTIVE'"


def _partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """Return an index of the rows that fulfil a condition, on both databases."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


def _mode(table: str) -> tuple[Column[str], CheckConstraint]:
    """Return the column that says in which mode of its merchant a row is, and its constraint."""
    column: Column[str] = Column("mode", Text, nullable=False, server_default="test")
    return column, CheckConstraint("mode IN ('test', 'live')", name=f"{table}_mode")


merchant = Table(
    "merchant",
    metadata,
    Column("id", Id, primary_key=True),
    Column("event_sequence", BigInteger, nullable=False, comment="number of the newest event in test mode"),
    Column(
        "live_event_sequence",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="number of the newest event in live mode",
    ),
    Column("created_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False, comment="empty: an operator's key, which belongs to no merchant"),
    Column("hash", Id, nullable=False, comment="SHA-256 of the secret, in hexadecimal"),
    Column("shown", Text, nullable=False, comment="the secret's beginning, to tell keys apart"),
    Column("mode", Text, nullable=False),
    Column("scopes", Text, nullable=False, comment="separated by spaces"),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, comment="set by a rotation: until then both keys live"),
    Column("revoked_at", BigInteger),
    Column("replaced_by", Id, comment="the key that a rotation put in its place"),
    PrimaryKeyConstraint("id", "merchant_id", name="api_key_pkey"),
    UniqueConstraint("hash", "merchant_id", name="api_key_hash"),
    CheckConstraint("length(hash) = 64", name="api_key_is_hashed"),
    CheckConstraint("mode IN ('test', 'live')", name="api_key_mode"),
    CheckConstraint("(replaced_by IS NOT NULL) = (expires_at IS NOT NULL)", name="api_key_replaced_expires"),
    Index("api_key_by_merchant", "merchant_id", "id"),
    sqlite_with_rowid=False,
)

checkout = Table(
    "checkout",
    metadata,
    Column("id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False),
    *_mode("checkout"),
    Column("idempotency_key", Id, nullable=False),
    Column("amount", BigInteger, nullable=False, comment="minor units"),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("capture_method", Text, nullable=False),
    Column("amount_captured", BigInteger, nullable=False, server_default="0"),
    Column("amount_refunded", BigInteger, nullable=False, server_default="0"),
    Column("amount_refund_pending", BigInteger, nullable=False, server_default="0"),
    Column("amount_disputed", BigInteger, nullable=False, server_default="0", comment="of disputes open or lost"),
    Column("attempt_count", Integer, nullable=False, server_default="0"),
    Column("attempt_id", Id, comment="the newest attempt"),
    Column("description", Text),
    Column("metadata", Text, comment="a JSON object of strings"),
    Column("success_url", Text),
    Column("cancel_url", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("expires_at_requested", BigInteger, comment="the client's, where the authorization lapses before"),
    PrimaryKeyConstraint("id", "merchant_id", name="checkout_pkey"),
    UniqueConstraint("merchant_id", "mode", "idempotency_key", name="checkout_idempotency_key"),
    CheckConstraint(
        "status IN ('PENDING', 'PROCESSING', 'AUTHORIZED', 'COMPLETED', 'FAILED', 'CANCELED', 'EXPIRED')",
        name="checkout_status",
    ),
    CheckConstraint("capture_method IN ('automatic', 'manual')", name="checkout_capture_method"),
    CheckConstraint("amount BETWEEN 1 AND 999999999999", name="checkout_amount"),
    CheckConstraint("amount_captured BETWEEN 0 AND amount", name="checkout_amount_captured"),
    CheckConstraint(
        "amount_refunded >= 0 AND amount_refund_pending >= 0"
        " AND amount_refunded + amount_refund_pending <= amount_captured",
        name="checkout_amount_refunded",
    ),
    CheckConstraint("amount_disputed >= 0", name="checkout_amount_disputed"),
    CheckConstraint("expires_at_requested > expires_at", name="checkout_expires_before_requested"),
    CheckConstraint("status <> 'COMPLETED' OR amount_captured > 0", name="checkout_completed_is_captured"),
    CheckConstraint("(status = 'PENDING') <= (attempt_count = 0)", name="checkout_pending_is_untried"),
    Index("checkout_by_merchant", "merchant_id", "mode", "id"),
    _partial_index("checkout_to_expire", "expires_at", where=EXPIRING),
    sqlite_with_rowid=False,
)

attempt = Table(
    "attempt",
    metadata,
    Column("id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False),
    *_mode("attempt"),
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
    CheckConstraint("(status = 'READY') <= (fence = 0)", name="attempt_ready_is_untouched"),
    CheckConstraint("(decline_code IS NOT NULL) = (status = 'DECLINED')", name="attempt_declined_says_why"),
    Index("attempt_by_checkout", "checkout_id", "merchant_id"),
    # At most one attempt under way for each checkout, except for refunds, of which there may be several.
    _partial_index("attempt_one_under_way", "checkout_id", "merchant_id", where=MOVES_ITS_CHECKOUT, unique=True),
    _partial_index("attempt_due", "provider", "due_at", where="due_at IS NOT NULL"),
    _partial_index("attempt_by_return_token", "return_token", where="return_token IS NOT NULL"),
    # What was made at the provider is recorded once.
    _partial_index(
        "attempt_recorded_once",
        "checkout_id",
        "merchant_id",
        "kind",
        "provider_reference",
        where="initiated_by IS NOT NULL",
        unique=True,
    ),
    # For webhooks that hold the provider's references only. The simulator's hold our keys.
    _partial_index("attempt_by_provider_reference", "provider_reference", where="account_id IS NOT NULL"),
    _partial_index("attempt_by_session_reference", "session_reference", where="account_id IS NOT NULL"),
    _partial_index("attempt_unproven", "status", "created_at", where=UNPROVEN),
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

event = Table(
    "event",
    metadata,
    Column("id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False),
    *_mode("event"),
    Column("sequence", BigInteger, nullable=False, comment="gap-free for each merchant and mode"),
    Column("checkout_id", Id, comment="none where it tells of a webhook endpoint"),
    Column("attempt_id", Id),
    Column("type", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("detail", Text, comment="a JSON object: what changed, beyond the type"),
    Column("request_id", Text),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", "merchant_id", name="event_pkey"),
    UniqueConstraint("merchant_id", "mode", "sequence", name="event_sequence"),
    Index("event_by_checkout", "checkout_id", "merchant_id"),
    sqlite_with_rowid=False,
)

# What each key was used for, but for the creation of checkouts: those have their keys themselves, for ever. In place of
# a merchant stands an operator's API key where the call is about no merchant (idempotency/model.py).
idempotency_key = Table(
    "idempotency_key",
    metadata,
    Column("merchant_id", Id, nullable=False),
    *_mode("idempotency_key"),
    Column("key", Id, nullable=False),
    Column("claim_id", Id, nullable=False, comment="the request that claimed it, so that it knows its own claim again"),
    Column("path", Text, nullable=False),
    Column("fields", Text, nullable=False, comment="a JSON object: a digest of each field of the body"),
    Column("status", Integer, comment="of the answer; only the transaction that claims it sees none"),
    Column("resource", Text, comment="the path of what the request made or changed"),
    Column("attempt_id", Id),
    Column("request_id", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("secret", Text, comment="encrypted; what the answer showed once"),
    Column("answer", Text, comment="the body of the answer, where it is no resource that can be read again"),
    PrimaryKeyConstraint("merchant_id", "mode", "key", name="idempotency_key_pkey"),
    CheckConstraint("(status IS NULL) = (resource IS NULL)", name="idempotency_key_answer"),
    Index("idempotency_key_to_forget", "expires_at"),
    sqlite_with_rowid=False,
)

# The webhooks of a provider belong to no merchant: rows are found by the provider's id, and merchants cannot read them.
provider_webhook = Table(
    "provider_webhook",
    metadata,
    Column("provider", Text, nullable=False),
    Column("id", Id, nullable=False, comment="the provider's"),
    Column("attempt_key", Id, comment="the provider key of the attempt that it tells of"),
    Column("reference", Text, comment="the provider's reference of the attempt, where there is no key"),
    Column("evidence", Text, comment="a JSON object: what it proves, or what happened to the charge"),
    Column("body", Text, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due_at", BigInteger, comment="when to apply it, if it is not applied by then"),
    Column("applied_at", BigInteger),
    Column("result", Text),
    PrimaryKeyConstraint("provider", "id", name="provider_webhook_pkey"),
    CheckConstraint(
        "(applied_at IS NOT NULL) = (result IS NOT NULL AND result IN ('CHANGED', 'KNOWN', 'NO_NEWS'))",
        name="provider_webhook_applied_has_a_result",
    ),
    CheckConstraint("applied_at IS NULL OR due_at IS NULL", name="provider_webhook_applied_is_not_due"),
    CheckConstraint(
        "result IS NULL OR result IN ('CHANGED', 'KNOWN', 'NO_NEWS', 'ATTEMPT_NOT_FOUND', 'FAILED', 'POSTPONED',"
        " 'NEEDS_REVIEW')",
        name="provider_webhook_result",
    ),
    _partial_index("provider_webhook_due", "due_at", where="due_at IS NOT NULL"),
    _partial_index("provider_webhook_applied", "applied_at", where="applied_at IS NOT NULL"),
    sqlite_with_rowid=False,
)

# A merchant's accounts with payment providers.
provider_account = Table(
    "provider_account",
    metadata,
    Column("id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False),
    Column("provider", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("name", Text, nullable=False, comment="for people"),
    Column("status", Text, nullable=False),
    Column("credentials", Text, nullable=False, comment="encrypted; a JSON object of strings"),
    Column("hints", Text, nullable=False, comment="a JSON object: what may be shown of each credential"),
    Column("position", Integer, nullable=False, comment="the order of preference among the merchant's accounts"),
    Column("version", Integer, nullable=False, comment="counts its changes; each is made to the one that was seen"),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
    PrimaryKeyConstraint("id", "merchant_id", name="provider_account_pkey"),
    CheckConstraint("mode IN ('test', 'live')", name="provider_account_mode"),
    CheckConstraint("status IN ('ACTIVE', 'DISABLED')", name="provider_account_status"),
    CheckConstraint("(disabled_at IS NOT NULL) = (status = 'DISABLED')", name="provider_account_disabled_says_when"),
    CheckConstraint("position >= 1", name="provider_account_position"),
    CheckConstraint("credentials LIKE 'v_.%'", name="provider_account_credentials_are_encrypted"),
    Index("provider_account_by_merchant", "merchant_id", "id"),
    _partial_index("provider_account_by_preference", "merchant_id", "mode", "position", "id", where=USABLE_ACCOUNT),
    sqlite_with_rowid=False,
)

webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    Column("id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False),
    *_mode("webhook_endpoint"),
    Column("url", Text, nullable=False),
    Column("event_types", Text, comment="a JSON array; none means every type that tells of money"),
    Column("description", Text),
    Column("secret", Text, comment="encrypted; none once the endpoint is deleted"),
    Column("former_secret", Text, comment="encrypted; signs too until former_secret_until"),
    Column("former_secret_until", BigInteger),
    Column("failing_since", BigInteger, comment="the first failed try since the newest success"),
    Column("paused_at", BigInteger, comment="nothing is sent from then on, and nothing is lost"),
    Column("pause_reason", Text),
    Column("version", Integer, nullable=False, comment="counts its changes; each is made to the one that was seen"),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),
    PrimaryKeyConstraint("id", "merchant_id", name="webhook_endpoint_pkey"),
    CheckConstraint(
        "(paused_at IS NOT NULL) = (pause_reason IS NOT NULL AND pause_reason IN ('request', 'gone', 'failing'))",
        name="webhook_endpoint_paused_says_why",
    ),
    CheckConstraint("(deleted_at IS NULL) = (secret IS NOT NULL)", name="webhook_endpoint_deleted_has_no_secret"),
    CheckConstraint(
        "(former_secret IS NULL) = (former_secret_until IS NULL)", name="webhook_endpoint_former_secret_ends"
    ),
    _partial_index("webhook_endpoint_by_merchant", "merchant_id", "id", where="deleted_at IS NULL"),
    sqlite_with_rowid=False,
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False),
    Column("endpoint_id", Id, nullable=False),
    Column("event_id", Id, nullable=False),
    Column("number", BigInteger, nullable=False, comment="gap-free for each endpoint"),
    Column("status", Text, nullable=False),
    Column("due_at", BigInteger, comment="when to send it; the end of the lease while somebody does"),
    Column("fence", Integer, nullable=False, comment="counts the claims; each writes under its own"),
    Column("failures", Integer, nullable=False, comment="failed tries since it was last made due by hand"),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("delivered_at", BigInteger, comment="the newest try that succeeded"),
    PrimaryKeyConstraint("id", "merchant_id", name="delivery_pkey"),
    ForeignKeyConstraint(
        ["endpoint_id", "merchant_id"],
        ["webhook_endpoint.id", "webhook_endpoint.merchant_id"],
        name="delivery_endpoint_fkey",
    ),
    ForeignKeyConstraint(["event_id", "merchant_id"], ["event.id", "event.merchant_id"], name="delivery_event_fkey"),
    UniqueConstraint("endpoint_id", "merchant_id", "number", name="delivery_number"),
    UniqueConstraint("endpoint_id", "merchant_id", "event_id", name="delivery_once_for_each_event"),
    CheckConstraint(
        "status IN ('PENDING', 'SENDING', 'DELIVERED', 'FAILED', 'DROPPED')",
        name="delivery_status",
    ),
    CheckConstraint("(due_at IS NOT NULL) = (status IN ('PENDING', 'SENDING'))", name="delivery_due_is_open"),
    CheckConstraint("status <> 'DELIVERED' OR delivered_at IS NOT NULL", name="delivery_delivered_says_when"),
    # Read endpoint by endpoint, so that a backlog of one costs the others nothing.
    _partial_index("delivery_due", "endpoint_id", "merchant_id", "due_at", where="due_at IS NOT NULL"),
    Index("delivery_by_endpoint", "endpoint_id", "merchant_id", "id"),
    sqlite_with_rowid=False,
)

redelivery = Table(
    "redelivery",
    metadata,
    Column("id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False),
    Column("endpoint_id", Id, nullable=False),
    Column("from_sequence", BigInteger, nullable=False),
    Column("to_sequence", BigInteger, nullable=False),
    Column("next_sequence", BigInteger, nullable=False, comment="the first event that was not looked at yet"),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", "merchant_id", name="redelivery_pkey"),
    ForeignKeyConstraint(
        ["endpoint_id", "merchant_id"],
        ["webhook_endpoint.id", "webhook_endpoint.merchant_id"],
        name="redelivery_endpoint_fkey",
    ),
    CheckConstraint(
        "from_sequence <= next_sequence AND next_sequence <= to_sequence", name="redelivery_is_not_carried_out"
    ),
    Index("redelivery_by_endpoint", "endpoint_id", "merchant_id", "id"),
    Index("redelivery_longest_waiting", "updated_at", "id"),
    sqlite_with_rowid=False,
)

delivery_try = Table(
    "delivery_try",
    metadata,
    Column("delivery_id", Id, nullable=False),
    Column("merchant_id", Id, nullable=False),
    Column("number", Integer, nullable=False, comment="the fence of the claim that it was made under"),
    Column("started_at", BigInteger, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("status_code", Integer, comment="the receiver's; none where it did not answer"),
    Column("error", Text, comment="why it counts as failed"),
    Column("answer", Text, comment="the first bytes of what the receiver answered"),
    PrimaryKeyConstraint("delivery_id", "merchant_id", "number", name="delivery_try_pkey"),
    ForeignKeyConstraint(
        ["delivery_id", "merchant_id"], ["delivery.id", "delivery.merchant_id"], name="delivery_try_delivery_fkey"
    ),
    sqlite_with_rowid=False,
)
