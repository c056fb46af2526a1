"""What each idempotency key was used for."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from paidonce.database.schema.base import Id, metadata, mode

# What each key was used for, but for the creation of checkouts: those have their keys themselves, for ever. In place of
# a merchant stands an operator's API key where the call is about no merchant (idempotency/model.py).
idempotency_key = Table(
    "idempotency_key",
    metadata,
    Column("merchant_id", Id, nullable=False),
    *mode("idempotency_key"),
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
