"""What an object of Adyen's proves about one of our operations.

From "Result codes" (docs.adyen.com/online-payments/payment-result-codes) and the API reference of Checkout v72, read
2026-11.
"""

from datetime import datetime
from typing import Final

from paidonce.clock import Instant
from paidonce.providers.adyen.amounts import from_adyen
from paidonce.providers.adyen.decline_codes import decline_code, raw_code_of
from paidonce.providers.adyen.wire import Amount, ModificationReceipt, Payment, PaymentLink
from paidonce.providers.decline_codes import AUTHENTICATION_FAILED, SESSION_EXPIRED
from paidonce.providers.evidence import (
    Accepted,
    Authorized,
    Declined,
    Evidence,
    Redirect,
    RequiresAction,
    Succeeded,
    Unknown,
)

# The payment goes on only when a buyer acts, whom nobody sends anywhere: see ``of_payment``.
REQUIRES_BUYER: Final = frozenset({"RedirectShopper", "IdentifyShopper", "ChallengeShopper", "PresentToShopper"})

STRANGE_AMOUNT: Final = Unknown("Adyen reports an amount that this currency cannot have")


def of_link(link: PaymentLink) -> Evidence:
    """Return what a payment link proves about its charge.

    That a link was paid is no proof of the payment: the link tells neither its reference, which every later capture
    and refund needs, nor whether it succeeded in the end. The webhook tells both.
    """
    match link.status:
        case "active" if link.url:
            return RequiresAction(link.id, Redirect(link.url, _instant(link.expires_at)))
        case "completed" | "paid" | "paymentPending":
            return Accepted(link.id)
        case "expired":
            return Declined(SESSION_EXPIRED, link.id, "charge", "expired")
        case _:
            return Unknown(f"Adyen reports the status of the link as {link.status}")


def of_payment(payment: Payment, *, capture: bool) -> Evidence:
    """Return what the response to a payment proves.

    A payment that would need a buyer is given up: no buyer was sent anywhere, so that it never goes on.
    """
    match payment.result_code:
        case "Authorised" | "PartiallyAuthorised" if payment.psp_reference:
            return proof_of_charge(payment.psp_reference, payment.amount, capture=capture)
        case "Refused" | "Cancelled" | "Error":
            raw_code = raw_code_of(payment.refusal_reason_code, payment.refusal_reason) or payment.result_code
            return Declined(decline_code(raw_code), payment.psp_reference, "charge", raw_code)
        case "Received" | "Pending":
            return Accepted(payment.psp_reference)
        case code if code in REQUIRES_BUYER:
            return Declined(AUTHENTICATION_FAILED, payment.psp_reference, "charge", code)
        case code:
            return Unknown(f"Adyen reports the result {code}")


def of_modification(receipt: ModificationReceipt) -> Evidence:
    """Return what the receipt of a capture, void or refund proves: that its outcome will be told by webhook."""
    if receipt.status == "received":
        return Accepted(receipt.psp_reference)
    return Unknown(f"Adyen reports the status {receipt.status}")


def proof_of_charge(reference: str, amount: Amount | None, *, capture: bool) -> Succeeded | Authorized | Unknown:
    """Return the proof of a payment that was authorized. One that is captured automatically has succeeded."""
    money = None if amount is None else from_adyen(amount.value, amount.currency)
    if amount is not None and money is None:
        return STRANGE_AMOUNT
    outcome = Succeeded if capture else Authorized
    return outcome(reference, money and money.amount, money and money.currency, "charge")


def _instant(text: str | None) -> Instant | None:
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000) if text else None
    except ValueError:
        return None
