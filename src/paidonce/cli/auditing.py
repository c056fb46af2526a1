"""Records in the audit log what a command does, in the transaction that does it."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from paidonce import ids
from paidonce.cli.opening import open_shared_database
from paidonce.database.transaction import Transaction
from paidonce.errors import PaidonceError
from paidonce.settings import Settings
from paidonce.users.audit import COMMAND_LINE, DONE, record_entries
from paidonce.users.audit_store import AuditEntry


class CommandType(StrEnum):
    """What a command does, by the name of the dashboard's action that does the same."""

    CREATE_MERCHANT = "create_merchant"
    CREATE_KEY = "create_key"
    ROTATE_KEY = "rotate_key"
    REVOKE_KEY = "revoke_key"
    ADD_ACCOUNT = "add_account"
    ROTATE_ACCOUNT = "rotate_account"
    MOVE_ACCOUNT = "move_account"
    DISABLE_ACCOUNT = "disable_account"
    ENABLE_ACCOUNT = "enable_account"
    RESOLVE_ATTEMPT = "resolve_attempt"
    REPLAY_WEBHOOK = "replay_webhook"
    DISMISS_WEBHOOK = "dismiss_webhook"
    CREATE_USER = "create_user"
    CHANGE_USER = "change_user"


class CommandEntry(NamedTuple):
    """An entry of the audit log: what was done to which subject, of which merchant, and the details."""

    type: CommandType
    subject: str
    merchant_id: str = ""
    detail: Mapping[str, Any] = {}


def run_recorded(
    settings: Settings,
    action: Callable[[Transaction, Any], Any],
    request: object,
    entries_of: Callable[[Any], Sequence[CommandEntry]],
) -> Any:  # noqa: ANN401 - any action's outcome
    """Run an action, and record what it does; one that refuses does nothing. Returns its outcome, or its error."""
    with open_shared_database(settings) as database, database.write() as transaction:
        outcome = action(transaction, [request])[0]
        if not isinstance(outcome, PaidonceError):
            record_command(transaction, *entries_of(outcome))
    return outcome


def record_command(transaction: Transaction, *entries: CommandEntry) -> None:
    """Record what a command does."""
    rows = [
        AuditEntry(
            id=ids.new_id(ids.AUDIT_ENTRY),
            merchant_id=one.merchant_id,
            type=one.type.value,
            actor=COMMAND_LINE,
            subject=one.subject,
            detail=msgspec.json.encode(one.detail).decode() if one.detail else None,
            outcome=DONE,
        )
        for one in entries
    ]
    record_entries(transaction, rows)
