"""Records in the audit log what a command does, in the transaction that does it."""

from typing import Any

import msgspec

from paidonce import ids
from paidonce.database.transaction import Transaction
from paidonce.users.audit import COMMAND_LINE, DONE, AuditType, record_entries
from paidonce.users.audit_store import AuditEntry


def record_command(
    transaction: Transaction, kind: AuditType, subject: str, detail: dict[str, Any], *, merchant_id: str = ""
) -> None:
    """Record what was done to a subject."""
    entry = AuditEntry(
        id=ids.new_id(ids.AUDIT_ENTRY),
        merchant_id=merchant_id,
        type=kind.value,
        actor=COMMAND_LINE,
        subject=subject,
        detail=msgspec.json.encode(detail).decode(),
        outcome=DONE,
    )
    record_entries(transaction, [entry])
