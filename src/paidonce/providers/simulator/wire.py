"""The request and response types of the simulated provider, and the evidence in them. Client and server share them."""

from typing import Final, Literal

import msgspec

from paidonce.clock import format_instant
from paidonce.providers.base import Authorized, Declined, Evidence, OperationKind, Succeeded
from paidonce.providers.simulator.books import Change, Charge


class ChargeBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``POST /charges``: charge, or authorize where ``capture`` is false. ``amount`` is in minor units."""

    key: str
    amount: int
    currency: str
    payment_method: str
    capture: bool
    checkout_id: str
    merchant_id: str


class ChangeBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``POST /charges/{reference}/capture``, ``/void`` or ``/refunds``; ``amount`` is minor units."""

    key: str
    amount: int


class Operation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The outcome of a call: the same for its response, for a look-up of its key, and for a webhook."""

    key: str
    kind: OperationKind
    reference: str
    outcome: Literal["succeeded", "authorized", "declined"]
    amount: int
    currency: str | None = None  # A charge's; what changes one has its currency.
    decline_code: str | None = None


class ChargeLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A charge as ``GET /charges`` returns it. ``status`` is its current status."""

    key: str
    reference: str
    checkout_id: str
    merchant_id: str
    amount: int
    currency: str
    status: str
    amount_refunded: int
    created_at: str


class ChargeList(msgspec.Struct, frozen=True, rename="camel"):
    """Charges, oldest first; the last one's reference is the next page's ``after``."""

    data: list[ChargeLine]
    has_more: bool


class WebhookBody(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook in the form that Standard Webhooks recommends. ``type`` is for example ``charge.declined``."""

    type: str
    timestamp: str
    data: Operation


KINDS: Final[dict[str, OperationKind]] = {"CAPTURE": "capture", "VOID": "void", "REFUND": "refund"}


def operation_of(booked: Charge | Change) -> Operation:
    """Return an operation as it was booked. Later changes have keys of their own."""
    if isinstance(booked, Charge):
        outcome: Literal["succeeded", "authorized", "declined"] = (
            "declined" if booked.decline_code else "authorized" if booked.booked_as == "authorized" else "succeeded"
        )
        kind: OperationKind = "charge"
    else:
        outcome = "declined" if booked.decline_code else "succeeded"
        kind = KINDS[booked.kind]
    return Operation(
        key=booked.key,
        kind=kind,
        reference=booked.reference,
        outcome=outcome,
        amount=booked.amount,
        currency=booked.currency if isinstance(booked, Charge) else None,
        decline_code=booked.decline_code,
    )


def evidence_of(operation: Operation) -> Evidence:
    """Return what an operation proves about the call with its key."""
    match operation.outcome:
        case "succeeded":
            return Succeeded(operation.reference, operation.amount, operation.currency, operation.kind)
        case "authorized":
            return Authorized(operation.reference, operation.amount, operation.currency, operation.kind)
        case "declined":
            return Declined(operation.decline_code or "declined", operation.reference, operation.kind)


def line_of(booked: Charge) -> ChargeLine:
    """Return a charge as a line of the list."""
    return ChargeLine(
        key=booked.key,
        reference=booked.reference,
        checkout_id=booked.checkout_id,
        merchant_id=booked.merchant_id,
        amount=booked.amount,
        currency=booked.currency,
        status=booked.status,
        amount_refunded=booked.amount_refunded,
        created_at=format_instant(booked.created_at),
    )
