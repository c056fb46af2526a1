"""The calls of Stripe's API that the double answers."""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from paidonce.proving.doubles.calls import Json, match_path
from paidonce.proving.doubles.stripe import params, payments, sessions
from paidonce.proving.doubles.stripe.books import Books, expanded
from paidonce.proving.doubles.stripe.params import Fields, StripeFailure

Handler: TypeAlias = Callable[[Books, str, Json], Json]
INTENT: Final = "payment_intent"
SESSION: Final = "checkout.session"


class Route(NamedTuple):
    """A call: its parameters, and the function that answers it, given the id in the path."""

    method: str
    pattern: str
    fields: Fields
    handler: Handler


def _retrieve_session(books: Books, session_id: str, given: Json) -> Json:
    sessions.expire_due(books)
    return sessions.with_intent(books, books.found(SESSION, session_id), given)


def _expire_session(books: Books, session_id: str, given: Json) -> Json:
    return sessions.with_intent(books, sessions.expire(books, books.found(SESSION, session_id)), given)


def _retrieve_balance(_books: Books, _id: str, _given: Json) -> Json:
    return {"object": "balance", "livemode": False, "available": [], "pending": []}


ROUTES: Final = (
    Route("POST", "/v1/payment_intents", params.INTENT, lambda books, _, given: payments.create(books, given)),
    Route(
        "GET",
        "/v1/payment_intents/{id}",
        params.EXPAND,
        lambda books, one, given: expanded(books, books.found(INTENT, one), given),
    ),
    Route(
        "POST",
        "/v1/payment_intents/{id}/confirm",
        params.CONFIRM,
        lambda books, one, given: expanded(books, payments.confirm(books, books.found(INTENT, one), given), given),
    ),
    Route(
        "POST",
        "/v1/payment_intents/{id}/capture",
        params.CAPTURE,
        lambda books, one, given: payments.capture(books, books.found(INTENT, one), given),
    ),
    Route(
        "POST",
        "/v1/payment_intents/{id}/cancel",
        params.CANCEL,
        lambda books, one, given: payments.cancel(books, books.found(INTENT, one), given),
    ),
    Route("POST", "/v1/refunds", params.REFUND, lambda books, _, given: payments.refund(books, given)),
    Route("GET", "/v1/refunds", params.REFUND_LIST, lambda books, _, given: payments.list_refunds(books, given)),
    Route("GET", "/v1/refunds/{id}", params.EXPAND, lambda books, one, _: books.found("refund", one)),
    Route("POST", "/v1/checkout/sessions", params.SESSION, lambda books, _, given: sessions.create(books, given)),
    Route("GET", "/v1/checkout/sessions/{id}", params.EXPAND, _retrieve_session),
    Route("POST", "/v1/checkout/sessions/{id}/expire", params.EXPAND, _expire_session),
    Route("GET", "/v1/balance", {}, _retrieve_balance),
)


def route_of(method: str, path: str) -> tuple[Route, str]:
    """Return the route of a request and the id in its path; raises StripeFailure where there is none."""
    for route in ROUTES:
        ids = match_path(route.pattern, path)
        if ids is not None and method == route.method:
            return route, "".join(ids)
    raise StripeFailure(404, f"Unrecognized request URL ({method}: {path}).")
