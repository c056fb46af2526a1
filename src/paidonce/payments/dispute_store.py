"""Statements over disputes. A dispute is recorded once for each checkout, provider and reference."""

from typing import Final

import msgspec
from sqlalchemy import bindparam, select, update

from paidonce.clock import Instant
from paidonce.database.schema import dispute
from paidonce.database.sets import encode_rows, insert_json_rows
from paidonce.database.statement import Statement
from paidonce.database.transaction import Transaction
from paidonce.merchants.model import TenantScopedId


class RecordedDispute(msgspec.Struct, frozen=True):
    """A dispute. ``amount`` is in minor units of ``currency``; ``reason`` is the provider's own code."""

    id: str
    merchant_id: str
    checkout_id: str
    provider: str
    account_id: str | None
    reference: str
    status: str
    amount: int
    currency: str
    reason: str | None
    created_at: Instant
    updated_at: Instant
    closed_at: Instant | None


_COLUMNS: Final = [dispute.c[name] for name in RecordedDispute.__struct_fields__]
_IDENTITY: Final = ("checkout_id", "merchant_id", "provider", "reference")
_INSERT: Final = Statement(
    lambda dialect: (
        insert_json_rows(dialect, dispute, *RecordedDispute.__struct_fields__)
        .on_conflict_do_nothing(index_elements=_IDENTITY)
        .returning(dispute.c.id)
    )
)
_BY_REFERENCE: Final = select(*_COLUMNS).where(*(dispute.c[name] == bindparam(f"of_{name}") for name in _IDENTITY))
_CLOSE: Final = (
    update(dispute)
    .where(
        dispute.c.id == bindparam("dispute_id"),
        dispute.c.merchant_id == bindparam("tenant"),
        dispute.c.status == bindparam("source"),
    )
    .values(status=bindparam("target"), closed_at=bindparam("now"), updated_at=bindparam("now"))
    .returning(dispute.c.id)
)
_OF_CHECKOUT: Final = (
    select(*_COLUMNS)
    .where(dispute.c.checkout_id == bindparam("of_checkout"), dispute.c.merchant_id == bindparam("tenant"))
    .order_by(dispute.c.id)
)


def insert_dispute(transaction: Transaction, new: RecordedDispute) -> bool:
    """Insert a dispute; False where it is recorded already."""
    return bool(transaction.column(_INSERT, {"rows": encode_rows([new])}))


def read_dispute(transaction: Transaction, wanted: RecordedDispute) -> RecordedDispute:
    """Read the dispute that is recorded with the reference of this one."""
    identity = {f"of_{name}": getattr(wanted, name) for name in _IDENTITY}
    return RecordedDispute(*transaction.rows(_BY_REFERENCE, identity)[0])


def close_dispute(transaction: Transaction, closed: RecordedDispute, source: str) -> bool:
    """Write how a dispute ended; False where its status is not ``source`` any more."""
    wanted = {
        "dispute_id": closed.id,
        "tenant": closed.merchant_id,
        "source": source,
        "target": closed.status,
        "now": transaction.now,
    }
    return bool(transaction.rows(_CLOSE, wanted))


def read_disputes(transaction: Transaction, checkout: TenantScopedId) -> list[RecordedDispute]:
    """Read a checkout's disputes, oldest first."""
    wanted = {"of_checkout": checkout.id, "tenant": checkout.merchant_id}
    return [RecordedDispute(*row) for row in transaction.rows(_OF_CHECKOUT, wanted)]
