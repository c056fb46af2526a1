"""The ledger of a double as the oracle reads it: charges, and what was done to them later.

It is written independently of the doubles: movements are read as JSON.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from paidonce.proving.snapshot import Change, Charge


class Books(NamedTuple):
    """The provider's books."""

    charges: Sequence[Charge]
    changes: Sequence[Change]


KINDS = {"capture": "CAPTURE", "release": "VOID", "refund": "REFUND"}


def read_ledger(movements: Sequence[Mapping[str, Any]], merchant_of: Mapping[str, str]) -> Books:
    """Read movements, in their order. ``merchant_of`` names the merchant of each account."""
    charges: dict[str, list[Charge]] = {}  # By payment. One that is charged twice has two.
    changes: list[Change] = []
    for one in movements:
        payment = charges.setdefault(one["paymentId"], [])
        if one["kind"] in ("charge", "authorization"):
            payment.append(_charge(one, merchant_of[one["account"]]))
            continue
        charge = payment[0] if payment else None
        rest = one["kind"] == "release" and charge is not None and charge.status == "succeeded"
        if one["kind"] in KINDS and not rest:  # Nobody asks for the release of what a partial capture leaves.
            changes.append(_change(one))
        if one["kind"] == "refund_failed":
            changes = [_failed(change) if change.reference == one["id"] else change for change in changes]
        if charge is not None:
            payment[0] = _changed(charge, one["kind"], one["amount"])
    return Books([charge for payment in charges.values() for charge in payment], changes)


def _charge(one: Mapping[str, Any], merchant_id: str) -> Charge:
    is_charge = one["kind"] == "charge"
    return Charge(
        key=one["operationKey"],
        reference=one["paymentId"],
        checkout_id=one["checkoutId"],
        merchant_id=merchant_id,
        amount=one["amount"],
        currency=one["currency"],
        status="succeeded" if is_charge else "authorized",
        decline_code=None,
        amount_captured=one["amount"] if is_charge else 0,
        amount_refunded=0,
        created_at=one["movedAt"],
    )


def _change(one: Mapping[str, Any]) -> Change:
    return Change(
        key=one["operationKey"],
        reference=one["id"],
        charge_reference=one["paymentId"],
        kind=KINDS[one["kind"]],
        amount=one["amount"],
        decline_code=None,
        created_at=one["movedAt"],
    )


def _failed(change: Change) -> Change:
    return change._replace(decline_code="failed")


def _changed(charge: Charge, kind: str, amount: int) -> Charge:
    match kind:
        case "capture":
            return charge._replace(status="succeeded", amount_captured=charge.amount_captured + amount)
        case "release" if charge.status == "authorized":
            return charge._replace(status="voided")
        case "refund":
            return charge._replace(amount_refunded=charge.amount_refunded + amount)
        case "refund_failed":
            return charge._replace(amount_refunded=charge.amount_refunded - amount)
        case _:
            return charge
