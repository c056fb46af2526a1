"""Payments and their modifications: what each call changes, and which notifications tell it.

A modification is decided at once and answered with "received"; only its notification tells the outcome, with the
reasons that Adyen gives (docs.adyen.com/online-payments/capture, …/cancel and …/refund, read 2026-11).
"""

from typing import Final

from paidonce.proving.doubles.adyen.books import Books
from paidonce.proving.doubles.adyen.cards import STORED, Card
from paidonce.proving.doubles.adyen.params import AdyenFailure
from paidonce.proving.doubles.calls import Json

NO_BALANCE: Final = "Insufficient balance on payment"


def stored_card(params: Json) -> Card:
    """Return the stored payment method of a payment; raises AdyenFailure where the shopper has no such method."""
    method = params["paymentMethod"]
    if method.get("type") != "scheme" or "storedPaymentMethodId" not in method:
        raise AdyenFailure(422, "14_004", "Missing payment method details")
    if not params.get("shopperReference"):
        raise AdyenFailure(422, "130", "Shopper Reference is missing")
    if params.get("shopperInteraction") != "ContAuth" or not params.get("recurringProcessingModel"):
        raise AdyenFailure(422, "903", "Recurring processing model is missing")
    if method["storedPaymentMethodId"] not in STORED:
        raise AdyenFailure(422, "803", "PaymentDetail not found")
    return STORED[method["storedPaymentMethodId"]]


def pay(books: Books, params: Json) -> Json:
    """Pay with a stored payment method; returns the response."""
    card = stored_card(params)
    is_manual = params.get("additionalData", {}).get("manualCapture") == "true"
    payment = new_payment(books, params, card, is_manual=is_manual)
    answer = {"pspReference": payment["pspReference"], "merchantReference": payment["reference"]}
    if card.result == "RedirectShopper":
        action = {"type": "redirect", "method": "GET", "url": f"{books.url}/bank/nobody", "paymentMethodType": "scheme"}
        return {**answer, "resultCode": card.result, "action": action}
    authorize(books, payment, card)
    if card.result in {"Received", "Pending"}:
        return {**answer, "resultCode": card.result}
    if card.refusal:
        number, reason = card.refusal
        result = "Error" if card.result == "Error" else "Refused"
        return {**answer, "resultCode": result, "refusalReason": reason, "refusalReasonCode": number}
    return {**answer, "resultCode": "Authorised", "amount": payment["amount"]}


def new_payment(books: Books, params: Json, card: Card, *, is_manual: bool) -> Json:
    """Create a payment that is not authorized yet. ``params`` are those of the payment, or of its link."""
    reference = books.new_id("PY")
    payment: Json = {
        "pspReference": reference,
        "reference": params["reference"],
        "merchantAccount": params["merchantAccount"],
        "amount": dict(params["amount"]),
        "metadata": dict(params.get("metadata", {})),
        "isManual": is_manual,
        "authorized": 0,
        "captured": 0,
        "refunded": 0,
        "captureFails": card.capture_fails,
        "refundFails": card.refund_fails,
    }
    books.payments[reference] = payment
    return payment


def authorize(books: Books, payment: Json, card: Card, refusal: str | None = None) -> bool:
    """Authorize a payment, and capture it where that is automatic; returns whether it succeeded."""
    reason = refusal or (card.refusal[1] if card.refusal else None)
    if reason is None:
        value = payment["amount"]["value"]
        payment["authorized"] = value
        books.move("authorization" if payment["isManual"] else "charge", payment, payment, value)
        if not payment["isManual"]:
            payment.update(authorized=0, captured=value)
    _tell(books, "AUTHORISATION", payment, payment, reason)
    return reason is None


def capture(books: Books, payment: Json, params: Json) -> Json:
    """Capture once, all or a part; Adyen cancels the rest."""
    value, reason = params["amount"]["value"], None
    made = _modification(books, payment, params)
    if value > payment["authorized"]:  # Nothing is authorized any more after a capture.
        reason = NO_BALANCE
    if payment["captureFails"] and reason is None:
        _tell(books, "CAPTURE_FAILED", made, payment, "Capture Failed", success=True)
        return made
    if reason is None:
        payment.update(authorized=0, captured=value)
        books.move("capture", made, payment, value)
    _tell(books, "CAPTURE", made, payment, reason)
    return made


def cancel(books: Books, payment: Json, params: Json) -> Json:
    """Cancel a payment that is authorized and not captured."""
    made = _modification(books, payment, {**params, "amount": payment["amount"]})
    held, reason = payment["authorized"], None
    if not held:
        reason = "Transaction was not authorised, or has been captured or cancelled already"
    else:
        payment["authorized"] = 0
        books.move("release", made, payment, held)
    _tell(books, "CANCELLATION", made, payment, reason)
    return {name: value for name, value in made.items() if name != "amount"}


def refund(books: Books, payment: Json, params: Json) -> Json:
    """Refund what is captured, all or a part."""
    value, reason = params["amount"]["value"], None
    made = _modification(books, payment, params)
    if not payment["captured"]:
        reason = "Transaction hasn't been captured, refund not possible"
    elif value > payment["captured"] - payment["refunded"]:
        reason = NO_BALANCE
    if reason is None:
        payment["refunded"] += value
        books.move("refund", made, payment, value)
    if payment["refundFails"] and reason is None:
        fail_refund(books, made)
    else:
        _tell(books, "REFUND", made, payment, reason)
    return made


def fail_refund(books: Books, made: Json) -> None:
    """Let a refund fail, which may have been told as a success before."""
    payment, value = books.payments[made["paymentPspReference"]], made["amount"]["value"]
    payment["refunded"] -= value
    books.move("refund_failed", made, payment, value)
    _tell(books, "REFUND_FAILED", made, payment, "Refund Failed", success=True)


def _modification(books: Books, payment: Json, params: Json) -> Json:
    if params["amount"]["currency"] != payment["amount"]["currency"]:
        raise AdyenFailure(422, "139", "The currency differs from that of the payment")
    made = {
        "merchantAccount": params["merchantAccount"],
        "paymentPspReference": payment["pspReference"],
        "pspReference": books.new_id("MD"),
        "reference": params.get("reference", ""),
        "status": "received",
        "amount": dict(params["amount"]),
    }
    books.modifications[made["pspReference"]] = made
    return made


def _tell(
    books: Books, event: str, source: Json, payment: Json, reason: str | None, *, success: bool | None = None
) -> None:
    """Notify of an event. Without ``success``, it is one where there is no reason against it."""
    succeeded = reason is None if success is None else success
    original = {} if source is payment else {"originalReference": payment["pspReference"]}
    books.tell(
        payment["pspReference"],
        {
            "amount": dict(source["amount"]),
            "eventCode": event,
            "merchantAccountCode": source["merchantAccount"],
            "merchantReference": source["reference"],
            **original,
            "paymentMethod": "visa",
            "pspReference": source["pspReference"],
            "reason": reason or "",
            "success": "true" if succeeded else "false",
        },
    )
