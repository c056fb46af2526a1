"""Checkout Sessions: what the merchant's calls and the buyer on the page change."""

from typing import Final

from paidonce.proving.doubles.calls import Json
from paidonce.proving.doubles.stripe import payments
from paidonce.proving.doubles.stripe.books import Books, expanded, new_intent
from paidonce.proving.doubles.stripe.params import StripeFailure

SECONDS_MIN: Final = 30 * 60
SECONDS_MAX: Final = 24 * 60 * 60


def create(books: Books, params: Json) -> Json:
    """Create a session. Its PaymentIntent is created when the buyer first tries to pay."""
    expires_at = params.get("expires_at", books.now + SECONDS_MAX)
    if not books.now + SECONDS_MIN <= expires_at <= books.now + SECONDS_MAX:
        raise StripeFailure(400, "expires_at must be 30 minutes to 24 hours from now.", param="expires_at")
    prices = [line["price_data"] for line in params["line_items"]]
    currencies = {price["currency"] for price in prices}
    if len(currencies) != 1:
        raise StripeFailure(400, "All prices must have one currency.", param="line_items")
    (currency,) = currencies
    total = sum(line["price_data"]["unit_amount"] * line["quantity"] for line in params["line_items"])
    payments.check_money(total, currency, "line_items[0][price_data][unit_amount]")
    session_id = books.new_id("cs_test")
    session: Json = {
        "id": session_id,
        "object": "checkout.session",
        "amount_total": total,
        "cancel_url": params.get("cancel_url"),
        "client_reference_id": params.get("client_reference_id"),
        "created": books.now,
        "currency": currency,
        "expires_at": expires_at,
        "livemode": False,
        "metadata": params.get("metadata", {}),
        "mode": "payment",
        "payment_intent": None,
        "payment_status": "unpaid",
        "status": "open",
        "success_url": params["success_url"],
        "url": f"{books.url}/pay/{session_id}",
    }
    books.sessions[session_id] = session
    books.intent_data[session_id] = params.get("payment_intent_data", {})
    return session


def expire(books: Books, session: Json) -> Json:
    """Expire an open session, and cancel its PaymentIntent."""
    expire_due(books)
    if session["status"] != "open":
        raise StripeFailure(400, f"Only open sessions can be expired. This one is {session['status']}.")
    return _expire(books, session)


def expire_due(books: Books) -> None:
    """Expire the sessions whose time has come, as Stripe does by itself."""
    for session in books.sessions.values():
        if session["status"] == "open" and session["expires_at"] <= books.now:
            _expire(books, session)


def pay(books: Books, session: Json, method: str) -> str:
    """Try to pay as the buyer; returns where the buyer goes next."""
    expire_due(books)
    if session["status"] != "open":
        return str(session["url"] or session["success_url"])
    intent = _intent_of(books, session)
    params = {"payment_method": method, "return_url": session["success_url"]}
    try:
        payments.confirm(books, intent, params)
    except StripeFailure:
        return str(session["url"])  # The buyer may try another card.
    if intent["status"] == "requires_action":
        return str(intent["next_action"]["redirect_to_url"]["url"])
    return complete(books, session, intent)


def complete(books: Books, session: Json, intent: Json) -> str:
    """Complete a session whose payment succeeded, or is authorized; returns where the buyer goes."""
    if intent["status"] not in {"succeeded", "requires_capture"}:
        return str(session["url"])
    paid = intent["status"] == "succeeded"
    session.update(status="complete", payment_status="paid" if paid else "unpaid", url=None)
    books.tell("checkout.session.completed", session)
    return str(session["success_url"])


def session_of(books: Books, intent: Json) -> Json | None:
    """Return the session that a PaymentIntent belongs to."""
    return next((one for one in books.sessions.values() if one["payment_intent"] == intent["id"]), None)


def with_intent(books: Books, session: Json, params: Json) -> Json:
    """Return the session, with its PaymentIntent expanded where that is wanted."""
    wanted = [one.removeprefix("payment_intent.") for one in params.get("expand", ())]
    if "payment_intent" not in wanted or not session["payment_intent"]:
        return session
    intent = expanded(books, books.intents[session["payment_intent"]], {"expand": wanted})
    return {**session, "payment_intent": intent}


def _expire(books: Books, session: Json) -> Json:
    session.update(status="expired", url=None)
    intent = books.intents.get(session["payment_intent"] or "")
    if intent and intent["status"] in payments.CANCELABLE:
        intent.update(status="canceled", canceled_at=books.now, cancellation_reason="abandoned", next_action=None)
        books.tell("payment_intent.canceled", intent)
    books.tell("checkout.session.expired", session)
    return session


def _intent_of(books: Books, session: Json) -> Json:
    if session["payment_intent"] is None:
        fields = books.intent_data[session["id"]]
        intent = new_intent(books, amount=session["amount_total"], currency=session["currency"], fields=fields)
        session["payment_intent"] = intent["id"]
    intent_id: str = session["payment_intent"]
    return books.intents[intent_id]
