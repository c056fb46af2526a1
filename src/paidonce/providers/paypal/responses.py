"""What an order or a payment of PayPal's proves about one of our operations.

From the statuses in the OpenAPI documents of Orders v2 and Payments v2, read 2026-11. An order moves no money until we
capture or authorize it. With the intent CAPTURE only one capture is possible, with AUTHORIZE only one authorization.
"""

from collections.abc import Sequence
from typing import Final, Literal

from paidonce.providers.base import ChargeRequest
from paidonce.providers.decline_codes import PROVIDER_REFUSED
from paidonce.providers.evidence import (
    Accepted,
    Authorized,
    Declined,
    Evidence,
    ExternalRefund,
    NotFound,
    Opened,
    OperationKind,
    Redirect,
    RequiresAction,
    Succeeded,
    Unknown,
)
from paidonce.providers.paypal.amounts import from_paypal
from paidonce.providers.paypal.decline_codes import decline_code
from paidonce.providers.paypal.requests import intent_of
from paidonce.providers.paypal.wire import Order, Payment

MOVED: Final = frozenset({"COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"})  # Of captures.
HELD: Final = frozenset({"CREATED", "CAPTURED", "PARTIALLY_CAPTURED", "VOIDED"})  # Of authorizations, also later.
FAILED: Final = frozenset({"DECLINED", "DENIED", "FAILED", "CANCELLED"})
PENDING: Final = "PENDING"
REFUND_STATUS: Final[dict[str, Literal["pending", "succeeded", "failed"]]] = {
    "PENDING": "pending",
    "COMPLETED": "succeeded",
    "FAILED": "failed",
    "CANCELLED": "failed",
}


def of_order(order: Order, request: ChargeRequest, page: str) -> Evidence:
    """Return what an order proves about its charge or authorization. ``page`` is where the buyer approves it, where
    PayPal does not say so.
    """
    payment = _best(order.payments.captures if request.capture else order.payments.authorizations)
    if payment is not None:
        return of_capture(payment, "charge") if request.capture else of_authorization(payment)
    if order.intent not in (None, intent_of(request)):
        return Declined(decline_code(order.closed_by), order.id, "charge", order.closed_by)
    match order.status:
        case "CREATED" | "PAYER_ACTION_REQUIRED":
            return RequiresAction(order.id, Redirect(order.approval_url or page))
        case "APPROVED":
            return Opened(order.id)
        case "VOIDED":
            return Declined(decline_code(order.status), order.id, "charge", order.status)
        case _:
            return Unknown(f"PayPal reports the order status {order.status}, and no payment")


def of_capture(payment: Payment, kind: OperationKind) -> Evidence:
    """Return what a capture proves: of an order (``charge``) or of an authorization (``capture``)."""
    if payment.status in MOVED:
        return _succeeded(payment, kind)
    if payment.status == PENDING:
        return Accepted(payment.id)
    return _failed(payment, kind)


def of_authorization(payment: Payment) -> Evidence:
    """Return what an authorization proves about the charge that it is. What became of it since says nothing."""
    if payment.status in HELD:
        money = from_paypal(payment.amount)
        if payment.amount is not None and money is None:
            return _unreadable(payment)
        return Authorized(payment.id, money and money.amount, money and money.currency, "charge", payment.expires_at)
    if payment.status == PENDING:
        return Accepted(payment.id)
    return _failed(payment, "charge")


def of_void(authorization: Payment) -> Evidence:
    """Return what an authorization proves about its release."""
    match authorization.status:
        case "VOIDED":
            return Succeeded(authorization.id, kind="void")
        case "CAPTURED" | "PARTIALLY_CAPTURED" | "DENIED":
            return Declined(PROVIDER_REFUSED, authorization.id, "void", authorization.status)
        case "CREATED" | "PENDING":
            return NotFound()
        case _:
            return Unknown(f"PayPal reports the status {authorization.status}")


def of_captures(authorization: Payment, captures: Sequence[Payment], key: str) -> Evidence:
    """Return what an authorization and the captures of it prove about the capture with this key."""
    mine = [one for one in captures if one.invoice_id == key]
    if mine:
        return of_capture(mine[0], "capture")
    match authorization.status:
        case "CREATED" | "PENDING" | "PARTIALLY_CAPTURED":
            return NotFound()
        case "VOIDED" | "DENIED":
            return Declined(PROVIDER_REFUSED, authorization.id, "capture", authorization.status)
        case "CAPTURED" if captures:
            return Declined(PROVIDER_REFUSED, authorization.id, "capture", "captured_already")
        case _:
            return Unknown(f"PayPal reports the status {authorization.status}, and no capture")


def of_refund_in_dashboard(payment: Payment) -> ExternalRefund | None:
    """Return what a refund is that we did not make; None where it cannot be read, or its status is not known."""
    money, status = from_paypal(payment.amount), REFUND_STATUS.get(payment.status)
    if money is None or status is None:
        return None
    raw_code = payment.raw_code if status == "failed" else None
    code = decline_code(raw_code) if raw_code else None
    return ExternalRefund(payment.id, status, money.amount, money.currency, code, raw_code)


def of_refund(payment: Payment) -> Evidence:
    """Return what a refund proves."""
    if payment.status == "COMPLETED":
        return _succeeded(payment, "refund")
    if payment.status == PENDING:
        return Accepted(payment.id)
    return _failed(payment, "refund")


def _best(payments: Sequence[Payment]) -> Payment | None:
    """Return the payment that counts: one that moved or holds money, else one that may, else any."""
    ranked = sorted(payments, key=lambda one: (one.status in FAILED, one.status == PENDING))
    return ranked[0] if ranked else None


def _succeeded(payment: Payment, kind: OperationKind) -> Evidence:
    money = from_paypal(payment.amount)
    if payment.amount is not None and money is None:
        return _unreadable(payment)
    return Succeeded(payment.id, money and money.amount, money and money.currency, kind)


def _failed(payment: Payment, kind: OperationKind) -> Evidence:
    if payment.status not in FAILED:
        return Unknown(f"PayPal reports the status {payment.status}")
    return Declined(decline_code(payment.raw_code), payment.id, kind, payment.raw_code)


def _unreadable(payment: Payment) -> Unknown:
    return Unknown(f"PayPal reports an amount that {payment.amount and payment.amount.currency_code} cannot have")
