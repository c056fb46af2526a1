"""The audit log: what people did and tried. Each action of the dashboard is recorded before it runs, and then its
outcome; log-ins and the commands are recorded as they happen. Payments have the person in their events, too.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from paidonce.database.transaction import Transaction
from paidonce.users import audit_store
from paidonce.users.audit_store import AuditEntry, AuditFilter, AuditOutcome

DONE: Final = "done"
COMMAND_LINE: Final = "command line"


class AuditType(StrEnum):
    """What is recorded beside the actions of the dashboard and the commands, which are recorded by their names."""

    LOGGED_IN = "logged_in"
    LOG_IN_FAILED = "log_in_failed"
    LINK_USED = "link_used"


def record_entries(transaction: Transaction, entries: Sequence[AuditEntry]) -> list[None]:
    """Record entries."""
    audit_store.insert_entries(
        transaction, [msgspec.structs.replace(one, created_at=transaction.now) for one in entries]
    )
    return [None] * len(entries)


def record_outcomes(transaction: Transaction, outcomes: Sequence[AuditOutcome]) -> list[None]:
    """Record how entries have ended."""
    audit_store.finish_entries(transaction, outcomes)
    return [None] * len(outcomes)


def list_entries(transaction: Transaction, requests: Sequence[AuditFilter]) -> list[tuple[list[AuditEntry], bool]]:
    """Read pages of entries, newest first, and whether each has a next page."""
    return [audit_store.read_entries(transaction, one) for one in requests]
