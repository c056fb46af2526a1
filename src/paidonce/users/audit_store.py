"""SQL statements for the audit log."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from sqlalchemy import Update, select, update
from sqlalchemy.sql.dml import Insert

from paidonce.clock import Instant
from paidonce.database.paging import in_page, page_of
from paidonce.database.schema import audit_entry
from paidonce.database.sets import encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import Statement
from paidonce.database.transaction import Transaction


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry. ``merchant_id`` is empty where it concerns no merchant, ``outcome`` is None until it is known."""

    id: str
    merchant_id: str
    type: str
    actor: str | None = None
    subject: str | None = None
    detail: str | None = None
    outcome: str | None = None
    address: str = ""
    request_id: str | None = None
    created_at: Instant = 0


class AuditOutcome(msgspec.Struct, frozen=True):
    """How what an entry tells has ended: ``done``, or the code of an error."""

    id: str
    outcome: str


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries a page holds, newest first: those of one merchant or of all, before ``starting_after``."""

    limit: int
    merchant_id: str | None = None
    starting_after: str | None = None


def _insert_entries(dialect: str) -> Insert:
    statement = insert_json_rows(dialect, audit_entry, *AuditEntry.__struct_fields__)
    # A row with this id is from the same request, in a commit whose result was lost.
    return statement.on_conflict_do_nothing(index_elements=["id"])


def _finish_entries(dialect: str) -> Update:
    wanted = json_rows(dialect, "wanted", id=str, outcome=str)
    return update(audit_entry).where(audit_entry.c.id == wanted.c.id).values(outcome=wanted.c.outcome)


_COLUMNS: Final = [audit_entry.c[name] for name in AuditEntry.__struct_fields__]
_INSERT_ENTRIES: Final = Statement(_insert_entries)
_FINISH_ENTRIES: Final = Statement(_finish_entries)


def insert_entries(transaction: Transaction, entries: Iterable[AuditEntry]) -> None:
    """Insert entries."""
    transaction.run(_INSERT_ENTRIES, {"rows": encode_rows(entries)})


def finish_entries(transaction: Transaction, outcomes: Iterable[AuditOutcome]) -> None:
    """Record how entries have ended."""
    transaction.run(_FINISH_ENTRIES, {"wanted": encode_rows(outcomes)})


def read_entries(transaction: Transaction, wanted: AuditFilter) -> tuple[list[AuditEntry], bool]:
    """Read a page, newest first, and whether there is a next page."""
    entries = select(*_COLUMNS)
    statement = in_page(entries, audit_entry.c.id, limit=wanted.limit, starting_after=wanted.starting_after)
    if wanted.merchant_id is not None:
        statement = statement.where(audit_entry.c.merchant_id == wanted.merchant_id)
    return page_of([_entry(row) for row in transaction.rows(statement)], limit=wanted.limit)


def _entry(row: Any) -> AuditEntry:  # noqa: ANN401 - a row of any database
    return AuditEntry(**dict(zip(AuditEntry.__struct_fields__, row, strict=True)))
