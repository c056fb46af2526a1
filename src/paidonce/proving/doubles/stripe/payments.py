"""PaymentIntents and refunds: what each call and each act of a buyer changes."""

from typing import Final

from paidonce.proving.doubles.calls import Json
from paidonce.proving.doubles.stripe.amounts import CURRENCIES, WHOLE, WITHOUT_DECIMALS
from paidonce.proving.doubles.stripe.books import Books, new_charge, new_intent
from paidonce.proving.doubles.stripe.cards import CARDS, Card
from paidonce.proving.doubles.stripe.params import StripeFailure

AMOUNT_MIN: Final = 50  # Stripe's minimum in USD and EUR; the double applies it to every currency with decimals.
AMOUNT_MAX: Final = 999_999_999_999
CANCELABLE: Final = frozenset(
    {"requires_payment_method", "requires_confirmation", "requires_action", "requires_capture"}
)
DECLINED: Final = "The card was declined."
PAGE_SIZE: Final = 10
PAGE_SIZE_MAX: Final = 100


def check_money(amount: int, currency: str, param: str = "amount") -> None:
    """Refuse an amount as Stripe does."""
    if currency not in CURRENCIES:
        raise StripeFailure(400, f"Invalid currency: {currency}", param="currency")
    if amount < AMOUNT_MIN and currency not in WITHOUT_DECIMALS:
        raise StripeFailure(400, "Amount must convert to at least 50 cents.", code="amount_too_small", param=param)
    if amount < 1:
        raise StripeFailure(400, "Invalid positive integer", code="parameter_invalid_integer", param=param)
    if amount > AMOUNT_MAX:
        raise StripeFailure(400, "Amount must be no more than 12 digits.", code="amount_too_large", param=param)
    if (currency in WHOLE and amount % 100) or (CURRENCIES[currency] == 3 and amount % 10):  # noqa: PLR2004
        raise StripeFailure(400, f"Invalid amount for {currency}", code="invalid_amount", param=param)


def create(books: Books, params: Json) -> Json:
    """Create a PaymentIntent."""
    check_money(params["amount"], params["currency"])
    if "payment_method" in params:
        _card(params["payment_method"])
    return new_intent(books, amount=params["amount"], currency=params["currency"], fields=params)


def confirm(books: Books, intent: Json, params: Json) -> Json:
    """Confirm a PaymentIntent: authenticate the buyer where the card wants it, and charge."""
    if intent["status"] not in {"requires_payment_method", "requires_confirmation"}:
        raise unexpected_state(intent, "confirm")
    method = params.get("payment_method") or intent["payment_method"]
    if method is None:
        raise StripeFailure(
            400, "Provide a payment method.", code="payment_intent_unexpected_state", payment_intent=intent
        )
    card = _card(method)
    intent.update(payment_method=method, last_payment_error=None)
    if not card.asks_buyer:
        return pay(books, intent)
    action = (
        {
            "type": "redirect_to_url",
            "redirect_to_url": {"url": f"{books.url}/3ds/{intent['id']}", "return_url": params["return_url"]},
        }
        if "return_url" in params
        else {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
    )
    intent.update(status="requires_action", next_action=action)
    books.tell("payment_intent.requires_action", intent)
    return intent


def pay(books: Books, intent: Json) -> Json:
    """Charge or authorize; raises StripeFailure where the card declines."""
    card = _card(intent["payment_method"])
    intent["next_action"] = None
    charge = new_charge(books, intent)
    if card.decline:
        code, decline_code = card.decline
        raise fail(books, intent, code, decline_code)
    if intent["capture_method"] == "manual":
        intent.update(status="requires_capture", amount_capturable=intent["amount"])
        books.move("authorization", intent, intent["amount"])
        books.tell("charge.succeeded", charge)
        books.tell("payment_intent.amount_capturable_updated", intent)
    else:
        intent.update(status="succeeded", amount_received=intent["amount"])
        books.move("charge", intent, intent["amount"])
        books.tell("payment_intent.succeeded", intent)
    return intent


def fail(books: Books, intent: Json, code: str, decline_code: str | None = None) -> StripeFailure:
    """Let the payment fail: the PaymentIntent could be confirmed again, with another method. Returns the response."""
    error = {"type": "card_error", "code": code}
    if decline_code:
        error["decline_code"] = decline_code
    intent.update(
        status="requires_payment_method",
        next_action=None,
        payment_method=None,
        last_payment_error={**error, "message": DECLINED},
    )
    books.tell("payment_intent.payment_failed", intent)
    return StripeFailure(402, DECLINED, **error, payment_intent=dict(intent))


def authenticate(books: Books, intent: Json, *, approved: bool) -> None:
    """Act as the buyer on the page of the bank."""
    if intent["status"] != "requires_action":
        return
    if not approved:
        fail(books, intent, "payment_intent_authentication_failure")
        return
    try:
        pay(books, intent)
    except StripeFailure:
        return  # The buyer comes back, and the PaymentIntent tells.


def capture(books: Books, intent: Json, params: Json) -> Json:
    """Capture once, all or a part."""
    if intent["status"] != "requires_capture":
        raise unexpected_state(intent, "capture")
    amount: int = params["amount_to_capture"] if "amount_to_capture" in params else intent["amount_capturable"]
    if not 0 < amount <= intent["amount_capturable"]:
        raise StripeFailure(400, "Too large.", code="amount_too_large", param="amount_to_capture")
    intent["metadata"].update(params.get("metadata", {}))
    intent.update(status="succeeded", amount_received=amount, amount_capturable=0)
    books.move("capture", intent, amount)
    books.tell("payment_intent.succeeded", intent)
    return intent


def cancel(books: Books, intent: Json, params: Json) -> Json:
    """Cancel, and release what is authorized."""
    if intent["status"] not in CANCELABLE:
        raise unexpected_state(intent, "cancel")
    if intent["status"] != "requires_capture" and any(
        session["payment_intent"] == intent["id"] for session in books.sessions.values()
    ):
        raise StripeFailure(400, "Expire the Checkout Session instead.", code="payment_intent_unexpected_state")
    if intent["status"] == "requires_capture":
        books.move("release", intent, intent["amount_capturable"])
    intent.update(
        status="canceled",
        canceled_at=books.now,
        cancellation_reason=params.get("cancellation_reason"),
        amount_capturable=0,
        next_action=None,
    )
    books.tell("payment_intent.canceled", intent)
    return intent


def refund(books: Books, params: Json) -> Json:
    """Refund a succeeded PaymentIntent, all that is left or a part."""
    intent = books.found("payment_intent", params["payment_intent"])
    if intent["status"] != "succeeded":
        raise StripeFailure(400, "This PaymentIntent has no successful charge.", code="payment_intent_unexpected_state")
    gone = {"failed", "canceled"}
    refunded = sum(one["amount"] for one in refunds_of(books, intent["id"]) if one["status"] not in gone)
    left = intent["amount_received"] - refunded
    amount = params.get("amount", left)
    if left == 0:
        raise StripeFailure(400, "The charge has already been refunded.", code="charge_already_refunded")
    if not 0 < amount <= left:
        raise StripeFailure(400, "Refund amount is greater than the unrefunded amount.", param="amount")
    kind = _card(intent["payment_method"]).refund
    made: Json = {
        "id": books.new_id("re"),
        "object": "refund",
        "amount": amount,
        "charge": intent["latest_charge"],
        "created": books.now,
        "currency": intent["currency"],
        "failure_reason": None,
        "metadata": dict(params.get("metadata", {})),
        "payment_intent": intent["id"],
        "reason": params.get("reason"),
        "status": "succeeded" if kind == "succeeded" else "pending",
    }
    books.refunds[made["id"]] = made
    books.move("refund", made, amount)
    books.tell("refund.created", made)
    return made


def settle_refund(books: Books, made: Json, status: str) -> Json:
    """End a refund: what Stripe does days later. A refund that succeeded may still fail."""
    made.update(status=status, failure_reason="expired_or_canceled_card" if status == "failed" else None)
    if status == "failed":
        books.move("refund_failed", made, made["amount"])
    books.tell("refund.failed" if status == "failed" else "refund.updated", made)
    return made


def list_refunds(books: Books, params: Json) -> Json:
    """Return a page of refunds, newest first."""
    limit = params.get("limit", PAGE_SIZE)
    if not 0 < limit <= PAGE_SIZE_MAX:
        raise StripeFailure(400, "Invalid limit", code="parameter_invalid_integer", param="limit")
    found = refunds_of(books, params.get("payment_intent"))[::-1]
    if "starting_after" in params:
        ids = [one["id"] for one in found]
        if params["starting_after"] not in ids:
            raise StripeFailure(400, "No such refund", code="resource_missing", param="starting_after")
        found = found[ids.index(params["starting_after"]) + 1 :]
    return {"object": "list", "url": "/v1/refunds", "data": found[:limit], "has_more": len(found) > limit}


def refunds_of(books: Books, intent_id: str | None) -> list[Json]:
    """Return the refunds of a PaymentIntent, or all, oldest first."""
    return [one for one in books.refunds.values() if intent_id in (None, one["payment_intent"])]


def unexpected_state(intent: Json, what: str) -> StripeFailure:
    """Return the response to a call that the status does not allow."""
    message = f"You cannot {what} this PaymentIntent because it has a status of {intent['status']}."
    return StripeFailure(400, message, code="payment_intent_unexpected_state", payment_intent=dict(intent))


def _card(method: str) -> Card:
    try:
        return CARDS[method]
    except KeyError:
        message = f"No such PaymentMethod: '{method}'"
        raise StripeFailure(400, message, code="resource_missing", param="payment_method") from None
