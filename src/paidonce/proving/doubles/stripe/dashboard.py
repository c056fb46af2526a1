"""What is done in Stripe's dashboard, or by a buyer's bank, without a call of the merchant's.

``POST /double/payment_intents/{id}/refund`` (with ``amount``), ``/cancel``, ``/expire`` and ``/dispute`` (with
``amount`` and ``reason``), and ``POST /double/disputes/{id}/{status}``. Amounts are in Stripe's unit; without one it is
the whole amount.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from paidonce.proving.doubles.calls import Json, Reply
from paidonce.proving.doubles.server import Double, response
from paidonce.proving.doubles.stripe import payments
from paidonce.proving.doubles.stripe.books import Books
from paidonce.proving.doubles.stripe.params import StripeFailure

Change: TypeAlias = Callable[[Books, str, Json], Json]


def refund(books: Books, intent_id: str, given: Json) -> Json:
    """Refund a payment, without any metadata."""
    amount = {"amount": int(given["amount"])} if "amount" in given else {}
    return payments.refund(books, {"payment_intent": intent_id, **amount})


def cancel(books: Books, intent_id: str, _given: Json) -> Json:
    """Cancel a payment, and release what is authorized."""
    reason = {"cancellation_reason": "requested_by_customer"}
    return payments.cancel(books, books.found("payment_intent", intent_id), reason)


def expire(books: Books, intent_id: str, _given: Json) -> Json:
    """Let an authorization expire, as Stripe does by itself."""
    return payments.cancel(books, books.found("payment_intent", intent_id), {"cancellation_reason": "automatic"})


def dispute(books: Books, intent_id: str, given: Json) -> Json:
    """Open a dispute of a payment."""
    intent = books.found("payment_intent", intent_id)
    opened: Json = {
        "id": books.new_id("du"),
        "object": "dispute",
        "amount": int(given.get("amount") or intent["amount_received"]),
        "charge": intent["latest_charge"],
        "created": books.now,
        "currency": intent["currency"],
        "livemode": False,
        "metadata": {},
        "payment_intent": intent_id,
        "reason": given.get("reason", "fraudulent"),
        "status": given.get("status", "needs_response"),
    }
    books.disputes[opened["id"]] = opened
    books.tell("charge.dispute.created", opened)
    return opened


def close_dispute(books: Books, dispute_id: str, status: str) -> Json:
    """Let the bank decide: ``won`` or ``lost``."""
    closed = books.disputes[dispute_id]
    closed["status"] = status
    books.tell("charge.dispute.closed", closed)
    return closed


CHANGES: Final[dict[str, Change]] = {"refund": refund, "cancel": cancel, "expire": expire, "dispute": dispute}


def act(books: Books, intent_id: str, change: str, given: Json) -> Json:
    """Do something to a payment, for the account that it belongs to; raises StripeFailure where that cannot be."""
    books.secret_key, books.idempotency_key = books.owner_of(intent_id), ""
    return CHANGES[change](books, intent_id, given)


def routes(double: Double[Books]) -> Sequence[BaseRoute]:
    """Return the calls, for tests in other processes."""
    return [
        Route("/double/payment_intents/{id}/{change}", _change(double), methods=["POST"]),
        Route("/double/disputes/{id}/{status}", _close(double), methods=["POST"]),
    ]


def _change(double: Double[Books]) -> Callable[[Request], Awaitable[Response]]:
    async def change(request: Request) -> Response:
        wanted = request.path_params["change"]
        if wanted not in CHANGES:
            return response(Reply(404, {}))
        try:
            changed = act(double.books, request.path_params["id"], wanted, dict(request.query_params))
        except StripeFailure as failed:
            return response(failed.reply)
        await double.send_events()
        return response(Reply(200, changed))

    return change


def _close(double: Double[Books]) -> Callable[[Request], Awaitable[Response]]:
    async def close(request: Request) -> Response:
        if request.path_params["id"] not in double.books.disputes:
            return response(Reply(404, {}))
        closed = close_dispute(double.books, request.path_params["id"], request.path_params["status"])
        await double.send_events()
        return response(Reply(200, closed))

    return close
