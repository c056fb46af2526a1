"""What an object of Mollie's proves about one of our operations.

From "Handling payment status" (docs.mollie.com/docs/status-change), "Place a hold for a payment"
(docs.mollie.com/docs/place-a-hold-for-a-payment) and the OpenAPI specification, read 2026-11. The statuses canceled,
expired, failed and paid of a payment are final.
"""

from typing import Final

from paidonce.clock import Instant, parse_instant
from paidonce.providers.decline_codes import BUYER_CANCELED, DECLINED, PROVIDER_REFUSED, SESSION_EXPIRED
from paidonce.providers.evidence import (
    Accepted,
    Authorized,
    Declined,
    Evidence,
    NotFound,
    Redirect,
    RequiresAction,
    Succeeded,
    Unknown,
)
from paidonce.providers.mollie.amounts import from_mollie
from paidonce.providers.mollie.decline_codes import decline_code
from paidonce.providers.mollie.wire import Capture, Payment, Refund

STRANGE_AMOUNT: Final = Unknown("Mollie reports an amount that this currency cannot have")


def of_charge(payment: Payment) -> Evidence:
    """Return what a payment proves about the charge or authorization that it was created for."""
    match payment.status:
        case "open":
            if payment.links.checkout is None:
                return Unknown("Mollie reports an open payment without a page to pay it on")
            return RequiresAction(payment.id, Redirect(payment.links.checkout.href, _instant(payment.expires_at)))
        case "pending":
            return Accepted(payment.id)
        case "authorized" if not payment.is_manual:
            return Accepted(payment.id)  # Mollie captures it by itself.
        case "authorized" | "paid":
            return _paid(payment)
        case "canceled" if payment.authorized_at is None:
            return Declined(BUYER_CANCELED, payment.id, "charge", "canceled")
        case "canceled":
            return Declined(DECLINED, payment.id, "charge", "canceled")
        case "expired":
            return Declined(SESSION_EXPIRED, payment.id, "charge", "expired")
        case "failed":
            raw_code = _failure_reason(payment)
            return Declined(decline_code(raw_code), payment.id, "charge", raw_code)
        case _:
            return Unknown(f"Mollie reports the status {payment.status}")


def of_closed(payment: Payment) -> Evidence:
    """Return what a payment proves that we have just canceled. Mollie does not tell who canceled it."""
    if payment.status == "canceled":
        return Declined(SESSION_EXPIRED, payment.id, "charge", "canceled")
    return of_charge(payment)


def of_capture(capture: Capture) -> Evidence:
    """Return what a capture proves."""
    match capture.status:
        case "succeeded":
            money = from_mollie(capture.amount)
            if capture.amount is not None and money is None:
                return STRANGE_AMOUNT
            return Succeeded(capture.id, money and money.amount, money and money.currency, "capture")
        case "pending":
            return Accepted(capture.id)
        case "failed":
            return Declined(DECLINED, capture.id, "capture", "failed")
        case _:
            return Unknown(f"Mollie reports the status {capture.status} of a capture")


def of_void(payment: Payment) -> Evidence:
    """Return what a payment proves about its release, which Mollie carries out some time after the request."""
    match payment.status:
        case "canceled" | "expired":
            return Succeeded(payment.id, kind="void")
        case "paid":
            return Declined(PROVIDER_REFUSED, payment.id, "void", "paid")
        case "authorized":
            return NotFound()
        case _:
            return Unknown(f"Mollie reports the status {payment.status}")


def of_refund(refund: Refund) -> Evidence:
    """Return what a refund proves."""
    match refund.status:
        case "refunded":
            money = from_mollie(refund.amount)
            return Succeeded(refund.id, money.amount, money.currency, "refund") if money else STRANGE_AMOUNT
        case "queued" | "pending" | "processing":
            return Accepted(refund.id)
        case "failed" | "canceled":
            return Declined(DECLINED, refund.id, "refund", refund.status)
        case _:
            return Unknown(f"Mollie reports the status {refund.status} of a refund")


def _paid(payment: Payment) -> Evidence:
    money = from_mollie(payment.amount)
    if money is None:
        return STRANGE_AMOUNT
    if not payment.is_manual:
        return Succeeded(payment.id, money.amount, money.currency, "charge")
    # What was captured since says nothing about the authorization.
    return Authorized(payment.id, money.amount, money.currency, "charge", _instant(payment.capture_before))


def _failure_reason(payment: Payment) -> str:
    of_details = payment.details.failure_reason if payment.details else None
    of_status = payment.status_reason.code if payment.status_reason else None
    return of_details or of_status or "failed"


def _instant(text: str | None) -> Instant | None:
    try:
        return None if text is None else parse_instant(text)
    except ValueError:
        return None
