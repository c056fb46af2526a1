"""The double of Stripe: its API, its errors and its signatures, for the harness of all doubles."""

import copy
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import msgspec
from starlette.routing import BaseRoute

from paidonce.clock import Clock, Instant, system_clock
from paidonce.providers.simulator.faults import Fault, FaultPlan
from paidonce.proving.doubles.calls import ApiCall, ApiFailure, Json, PreparedCall, Reply
from paidonce.proving.doubles.server import Double
from paidonce.proving.doubles.stripe import dashboard, pages
from paidonce.proving.doubles.stripe.books import Books
from paidonce.proving.doubles.stripe.cards import FAULTS
from paidonce.proving.doubles.stripe.params import StripeFailure, read_params
from paidonce.proving.doubles.stripe.routes import Route as ApiRoute, route_of
from paidonce.proving.doubles.webhooks import Event, WebhookTarget

SECRET_KEY: Final = "sk_test_double0000"  # noqa: S105 - no secret of anybody's


class StripeApi:
    """Stripe's API before ``books``. ``accounts`` are known by their secret keys."""

    name = "Stripe"
    paths: tuple[str, ...] = ("/v1/{path:path}",)
    server_error = Reply(500, {"error": {"type": "api_error", "message": "An unexpected error occurred."}})

    def __init__(self, books: Books, accounts: Mapping[str, WebhookTarget | None]) -> None:
        self.books = books
        self._accounts = accounts

    def prepare(self, call: ApiCall) -> PreparedCall:
        """Authenticate a call and check its parameters; raises ApiFailure."""
        scheme, _, secret_key = call.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or secret_key not in self._accounts:
            raise StripeFailure(401, "Invalid API Key provided: sk_test_****.")
        route, object_id = route_of(call.method, call.path)
        is_post = call.method == "POST"
        given = read_params(call.body.decode() if is_post else call.query, route.fields)
        key = call.headers.get("idempotency-key", "") if is_post else ""
        return PreparedCall(
            execute=lambda: self._execute(route, object_id, given, secret_key, key),
            params=given,
            key=key,
            replay=_replayed,
            # With one that is stored, a refund that was not made has no outcome for a day: docs/providers/stripe.md.
            key_stores_vain_errors=route.pattern != "/v1/refunds",
            fault=self._fault_of_card(route, object_id),
        )

    def key_reused(self, key: str) -> ApiFailure:
        """Return the failure of a key that was used before with other parameters."""
        message = f"Keys for idempotent requests can only be used with the same parameters: '{key}'."
        return StripeFailure(400, message, type="idempotency_error")

    def key_in_use(self, key: str) -> ApiFailure:
        """Return the failure of a key whose first request is being executed."""
        message = f"There is currently another in-progress request using this Idempotent Key: {key}."
        return StripeFailure(409, message, code="idempotency_key_in_use")

    def webhook_headers(self, body: bytes, secret: str, now: Instant) -> Mapping[str, str]:
        """Return the headers, with the signature, of one try to send a webhook."""
        return {"Stripe-Signature": signature(secret, body, now // 1000)}

    def _execute(self, route: ApiRoute, object_id: str, given: Json, secret_key: str, key: str) -> Reply:
        self.books.secret_key, self.books.idempotency_key = secret_key, key
        return Reply(200, route.handler(self.books, object_id, given))

    def _fault_of_card(self, route: ApiRoute, object_id: str) -> Fault:
        intent = self.books.intents.get(object_id)
        if intent and route.pattern.endswith("/confirm") and intent["status"] == "requires_confirmation":
            return FAULTS.get(intent["payment_method"], Fault.NONE)
        return Fault.NONE


StripeDouble: TypeAlias = Double[Books]


def create_double(
    *, url: str, clock: Clock = system_clock, plan: FaultPlan | None = None, target: WebhookTarget | None = None
) -> StripeDouble:
    """Create a double with one account, whose webhooks go to ``target``. Its pages are at ``url``."""
    books = Books(url=url, clock=clock)
    accounts: dict[str, WebhookTarget | None] = {SECRET_KEY: target}
    double = Double(StripeApi(books, accounts), clock=clock, plan=plan, accounts=accounts, routes=_routes)
    books.tell = lambda kind, about: double.emit(_event(books, kind, about))
    return double


def _routes(double: StripeDouble) -> Sequence[BaseRoute]:
    return [*pages.routes(double), *dashboard.routes(double)]


def signature(secret: str, body: bytes, seconds: int) -> str:
    """Return the header ``Stripe-Signature``."""
    signed = str(seconds).encode() + b"." + body
    return f"t={seconds},v1={hmac.digest(secret.encode(), signed, hashlib.sha256).hex()}"


def _replayed(reply: Reply) -> Reply:
    return msgspec.structs.replace(reply, headers={"Idempotent-Replayed": "true"})


def _event(books: Books, kind: str, about: Json) -> Event:
    body = {
        "id": books.new_id("evt"),
        "object": "event",
        "created": books.now,
        "livemode": False,
        "type": kind,
        "data": {"object": copy.deepcopy(about)},
    }
    key = about["metadata"].get("paidonce_key", body["id"])
    return Event(account=books.owner_of(about["id"]), body=msgspec.json.encode(body), fault_key=f"{key}/{kind}")
