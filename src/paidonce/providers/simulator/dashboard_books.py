"""What is done to charges without a call of the merchant's: in the provider's dashboard, or by the buyer's bank."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from sqlalchemy import BigInteger, Column, Table, Text, bindparam, insert, update

from paidonce import ids
from paidonce.database.transaction import Transaction
from paidonce.providers.simulator.books import Change, Charge, change, charge, metadata, read_charge
from paidonce.providers.simulator.wire import Announced, DashboardChange, Operation

KEY_PREFIX: Final = "dashboard_"  # Of what has no key of a merchant's.
FAILED: Final = "expired_card"  # Why a refund fails late.

dispute = Table(
    "dispute",
    metadata,
    Column("reference", Text, primary_key=True),
    Column("charge_reference", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("status", Text, nullable=False, comment="opened, won or lost"),
    sqlite_with_rowid=False,
)


class ChangeInDashboard(msgspec.Struct, frozen=True, kw_only=True):
    """A request to change a charge; without ``amount`` it is the whole."""

    kind: Literal["refund", "cancel", "expire", "dispute"]
    charge_reference: str
    amount: int | None = None
    reason: str = "fraudulent"


class CloseDispute(msgspec.Struct, frozen=True):
    """A request to decide a dispute, as the bank does."""

    reference: str
    outcome: Literal["won", "lost"]


def change_in_dashboard(transaction: Transaction, requests: Sequence[ChangeInDashboard]) -> list[Announced | None]:
    """Change charges; returns what the webhook of each tells, None where the charge does not allow it."""
    return [_change(transaction, request) for request in requests]


def _change(transaction: Transaction, request: ChangeInDashboard) -> Announced | None:
    found = read_charge(transaction, request.charge_reference)
    if found is None:
        return None
    if request.kind == "refund":
        return _refund(transaction, found, request.amount)
    if request.kind == "dispute":
        return _dispute(transaction, found, request)
    if found.status != "authorized":
        return None
    transaction.run(update(charge).where(charge.c.reference == found.reference).values(status="voided"))
    _book(transaction, found, "VOID", found.amount)
    outcome: Literal["canceled", "expired"] = "canceled" if request.kind == "cancel" else "expired"
    return _announced(found, "authorization", outcome, found.reference, amount=found.amount)


def _refund(transaction: Transaction, found: Charge, wanted: int | None) -> DashboardChange | None:
    left = found.amount_captured - found.amount_refunded
    amount = left if wanted is None else wanted
    if not 0 < amount <= left:
        return None
    refunded = update(charge).where(charge.c.reference == found.reference)
    transaction.run(refunded.values(amount_refunded=charge.c.amount_refunded + amount))
    reference = _book(transaction, found, "REFUND", amount)
    return _announced(found, "refund", "succeeded", reference, amount=amount)


def _dispute(transaction: Transaction, found: Charge, request: ChangeInDashboard) -> DashboardChange:
    amount = found.amount_captured if request.amount is None else request.amount
    reference = f"dp_{ids.new_id(ids.CHANGE)}"
    opened = {"reference": reference, "charge_reference": found.reference, "amount": amount, "status": "opened"}
    transaction.run(insert(dispute).values(opened | {"reason": request.reason}))
    return _announced(found, "dispute", "opened", reference, amount=amount, reason=request.reason)


def close_disputes(transaction: Transaction, requests: Sequence[CloseDispute]) -> list[Announced | None]:
    """Decide disputes; returns what the webhook of each tells, None where there is no such dispute."""
    announced: list[Announced | None] = []
    for request in requests:
        wanted = update(dispute).where(dispute.c.reference == request.reference).values(status=request.outcome)
        rows = transaction.rows(wanted.returning(dispute.c.charge_reference, dispute.c.amount, dispute.c.reason))
        found = read_charge(transaction, rows[0][0]) if rows else None
        announced.append(
            None
            if found is None
            else _announced(found, "dispute", request.outcome, request.reference, amount=rows[0][1], reason=rows[0][2])
        )
    return announced


def fail_refunds(transaction: Transaction, references: Sequence[str]) -> list[Announced | None]:
    """Let refunds fail that succeeded, the merchant's and those of the dashboard; returns what each webhook tells."""
    return [_fail_refund(transaction, reference) for reference in references]


def _fail_refund(transaction: Transaction, reference: str) -> Announced | None:
    is_done = (change.c.reference == reference) & (change.c.kind == "REFUND") & change.c.decline_code.is_(None)
    failing = update(change).where(is_done).values(decline_code=FAILED)
    rows = transaction.rows(failing.returning(*(change.c[name] for name in Change.__struct_fields__)))
    found = read_charge(transaction, Change(*rows[0]).charge_reference) if rows else None
    if found is None:
        return None
    failed = Change(*rows[0])
    returned = update(charge).where(charge.c.reference == bindparam("of_charge"))
    transaction.run(
        returned.values(amount_refunded=charge.c.amount_refunded - failed.amount), {"of_charge": found.reference}
    )
    if failed.key.startswith(KEY_PREFIX):
        return _announced(found, "refund", "failed", reference, amount=failed.amount, reason=FAILED)
    return Operation(
        key=failed.key,
        kind="refund",
        reference=reference,
        outcome="declined",
        amount=failed.amount,
        decline_code=FAILED,
    )


def _book(transaction: Transaction, found: Charge, kind: str, amount: int) -> str:
    booked = Change(
        key=ids.new_id(KEY_PREFIX.rstrip("_")),
        reference=ids.new_id(ids.CHANGE),
        charge_reference=found.reference,
        kind=kind,
        amount=amount,
        decline_code=None,
        created_at=transaction.now,
    )
    transaction.run(insert(change).values(msgspec.structs.asdict(booked)))
    return booked.reference


def _announced(
    found: Charge,
    subject: Literal["refund", "dispute", "authorization"],
    outcome: Literal["succeeded", "failed", "opened", "won", "lost", "canceled", "expired"],
    reference: str,
    *,
    amount: int,
    reason: str | None = None,
) -> DashboardChange:
    return DashboardChange(
        subject=subject,
        outcome=outcome,
        reference=reference,
        charge_key=found.key,
        charge_reference=found.reference,
        amount=amount,
        currency=found.currency,
        reason=reason,
    )
