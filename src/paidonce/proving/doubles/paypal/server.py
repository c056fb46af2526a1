"""The double of PayPal: its API, its errors and its signatures, for the harness of all doubles."""

import base64
import copy
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import parse_qs

import msgspec

from paidonce.clock import DAY_MS, Clock, Instant, system_clock
from paidonce.providers.simulator.faults import Fault, FaultPlan
from paidonce.proving.doubles.calls import ApiCall, ApiFailure, Json, PreparedCall, Reply, match_path
from paidonce.proving.doubles.paypal import orders, pages, payments
from paidonce.proving.doubles.paypal.bodies import Change, NewCapture, NewOrder, NewRefund, Nothing, read_body
from paidonce.proving.doubles.paypal.books import Books, key_of
from paidonce.proving.doubles.paypal.failures import PayPalFailure
from paidonce.proving.doubles.paypal.signing import signed_headers
from paidonce.proving.doubles.server import Double
from paidonce.proving.doubles.webhooks import Event, WebhookTarget

CLIENT_ID: Final = "double-client-0000"
CLIENT_SECRET: Final = "double-secret-0000"  # noqa: S105 - no secret of anybody's; that of all accounts
TOKEN: Final = "/v1/oauth2/token"  # noqa: S105 - a path
TOKEN_SECONDS: Final = 32_400
ORDER_KEY_MS: Final = DAY_MS // 4
PAYMENT_KEY_MS: Final = 45 * DAY_MS

Handler: TypeAlias = Callable[[Books, str, Any], Json | None]


class ApiRoute(NamedTuple):
    """A call: its body, the function that answers it given the id in the path, and how long its key is remembered."""

    method: str
    pattern: str
    body: Any
    handler: Handler
    status: int = 200
    key_lifetime_ms: int = 0


def _order(books: Books, order_id: str) -> Json:
    return books.found("order", order_id)


ROUTES: Final = (
    ApiRoute(
        "POST",
        "/v2/checkout/orders",
        NewOrder,
        lambda books, _, body: orders.shown(books, orders.create(books, body)),
        201,
        ORDER_KEY_MS,
    ),
    ApiRoute("GET", "/v2/checkout/orders/{id}", Nothing, lambda books, one, _: orders.shown(books, _order(books, one))),
    ApiRoute(
        "PATCH",
        "/v2/checkout/orders/{id}",
        list[Change],
        lambda books, one, body: orders.change(books, _order(books, one), body),
        204,
    ),
    ApiRoute(
        "POST",
        "/v2/checkout/orders/{id}/capture",
        Nothing,
        lambda books, one, _: orders.charge(books, _order(books, one), "CAPTURE"),
        201,
        ORDER_KEY_MS,
    ),
    ApiRoute(
        "POST",
        "/v2/checkout/orders/{id}/authorize",
        Nothing,
        lambda books, one, _: orders.charge(books, _order(books, one), "AUTHORIZE"),
        201,
        ORDER_KEY_MS,
    ),
    ApiRoute("GET", "/v2/payments/captures/{id}", Nothing, lambda books, one, _: books.found("capture", one)),
    ApiRoute("GET", "/v2/payments/refunds/{id}", Nothing, lambda books, one, _: books.found("refund", one)),
    ApiRoute(
        "GET", "/v2/payments/authorizations/{id}", Nothing, lambda books, one, _: books.found("authorization", one)
    ),
    ApiRoute(
        "POST",
        "/v2/payments/authorizations/{id}/capture",
        NewCapture,
        lambda books, one, body: payments.capture(books, books.found("authorization", one), body),
        201,
        PAYMENT_KEY_MS,
    ),
    ApiRoute(
        "POST",
        "/v2/payments/authorizations/{id}/void",
        Nothing,
        lambda books, one, _: payments.void(books, books.found("authorization", one)),
        key_lifetime_ms=PAYMENT_KEY_MS,
    ),
    ApiRoute(
        "POST",
        "/v2/payments/captures/{id}/refund",
        NewRefund,
        lambda books, one, body: payments.refund(books, books.found("capture", one), body),
        201,
        PAYMENT_KEY_MS,
    ),
)


class PayPalApi:
    """PayPal's API before ``books``. ``accounts`` are known by their client ids."""

    name = "PayPal"
    paths: tuple[str, ...] = (TOKEN, "/v2/{path:path}")
    server_error = Reply(500, {"name": "INTERNAL_SERVER_ERROR", "message": "An internal server error occurred."})

    def __init__(self, books: Books, accounts: Mapping[str, WebhookTarget | None]) -> None:
        self.books = books
        self._accounts = accounts

    def prepare(self, call: ApiCall) -> PreparedCall:
        """Authenticate a call and check its parameters; raises ApiFailure."""
        if call.path == TOKEN:
            client_id = self._basic(call)
            return PreparedCall(execute=lambda: self._new_token(client_id))
        client_id = self._bearer(call)
        route, object_id = _route_of(call)
        body = read_body(call.body, route.body)
        is_keyed = route.key_lifetime_ms > 0
        key = call.headers.get("paypal-request-id", "") if is_keyed else ""
        if route.pattern == "/v2/checkout/orders" and not key:
            raise PayPalFailure(400, "PAYPAL_REQUEST_ID_REQUIRED")
        return PreparedCall(
            execute=lambda: self._execute(route, object_id, body, client_id, key),
            params=msgspec.to_builtins(body),
            key=f"{client_id} {key}" if key else "",
            key_lifetime_ms=route.key_lifetime_ms or DAY_MS,
            key_stores_errors=False,
            key_stores_refusals=False,
            replay=self._latest,
            fault=self._fault_of_funding(route, object_id),
        )

    def key_reused(self, key: str) -> ApiFailure:
        """Return the failure of a key that was used before with other parameters."""
        return PayPalFailure(422, "PAYPAL_REQUEST_ID_PREVIOUSLY_USED", f"The id {key} was used for another request.")

    def key_in_use(self, key: str) -> ApiFailure:
        """Return the failure of a key whose first request is being executed."""
        return PayPalFailure(409, "PREVIOUS_REQUEST_IN_PROGRESS", f"The request {key} is in progress.")

    def webhook_headers(self, body: bytes, secret: str, now: Instant) -> Mapping[str, str]:
        """Return the headers, with the signature, of one try to send a webhook. Its ``secret`` is the webhook's id."""
        cert_url = f"{self.books.url}{pages.CERTIFICATE}"
        return signed_headers(body, secret, cert_url, transmission_id=self.books.new_id("T"), time=self.books.time(now))

    def _execute(self, route: ApiRoute, object_id: str, body: object, client_id: str, key: str) -> Reply:
        self.books.client_id, self.books.request_id = client_id, key
        return Reply(route.status, route.handler(self.books, object_id, body))

    def _latest(self, stored: Reply) -> Reply:
        """Answer a repeated key with the object as it is now."""
        for kind, found in self.books.objects.items():
            if (one := found.get(stored.body["id"])) is not None:
                return Reply(200, copy.deepcopy(orders.shown(self.books, one) if kind == "order" else one))
        return stored

    def _basic(self, call: ApiCall) -> str:
        scheme, _, encoded = call.headers.get("authorization", "").partition(" ")
        try:
            client_id, _, secret = base64.b64decode(encoded).decode().partition(":")
        except ValueError:
            client_id, secret = "", ""
        if scheme != "Basic" or client_id not in self._accounts or secret != CLIENT_SECRET:
            error = {"error": "invalid_client", "error_description": "Client Authentication failed"}
            raise ApiFailure(Reply(401, error))
        if parse_qs(call.body.decode(errors="replace")) != {"grant_type": ["client_credentials"]}:
            raise ApiFailure(Reply(400, {"error": "unsupported_grant_type", "error_description": "unsupported"}))
        return client_id

    def _new_token(self, client_id: str) -> Reply:
        token = self.books.new_id("TOKEN")
        self.books.tokens[token] = (client_id, self.books.clock() + TOKEN_SECONDS * 1000)
        return Reply(200, {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS})

    def _bearer(self, call: ApiCall) -> str:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        client_id, expires_at = self.books.tokens.get(token, ("", 0))
        if scheme != "Bearer" or client_id not in self._accounts or self.books.clock() >= expires_at:
            raise ApiFailure(Reply(401, {"error": "invalid_token", "error_description": "Token signature failed"}))
        return client_id

    def _fault_of_funding(self, route: ApiRoute, object_id: str) -> Fault:
        order = self.books.objects["order"].get(object_id)
        is_charge = route.pattern.endswith(("orders/{id}/capture", "orders/{id}/authorize"))
        if order is None or not is_charge or order["status"] != "APPROVED" or "_failed" in order:
            return Fault.NONE
        fault = self.books.funding_of(order).fault
        if fault is not Fault.NONE:
            order["_failed"] = True
        return fault


PayPalDouble: TypeAlias = Double[Books]


def create_double(
    *, url: str, clock: Clock = system_clock, plan: FaultPlan | None = None, target: WebhookTarget | None = None
) -> PayPalDouble:
    """Create a double with one account, whose webhooks go to ``target``. Its pages are at ``url``."""
    books = Books(url=url, clock=clock)
    accounts: dict[str, WebhookTarget | None] = {CLIENT_ID: target}
    double = Double(PayPalApi(books, accounts), clock=clock, plan=plan, accounts=accounts, routes=pages.routes)
    books.tell = lambda name, kind, resource: double.emit(_event(books, name, kind, resource))
    return double


def _route_of(call: ApiCall) -> tuple[ApiRoute, str]:
    """Return the route of a request and the id in its path; raises PayPalFailure where there is none."""
    for route in ROUTES:
        found = match_path(route.pattern, call.path)
        if found is not None and call.method == route.method:
            return route, found[0] if found else ""
    raise PayPalFailure(404, "INVALID_RESOURCE_ID", f"There is no {call.method} {call.path}.")


def _event(books: Books, name: str, kind: str, resource: Json) -> Event:
    event_id = books.new_id("WH")
    body = {
        "id": event_id,
        "event_version": "1.0",
        "create_time": books.time(),
        "resource_type": kind,
        "event_type": name,
        "summary": name,
        "resource": copy.deepcopy(resource),
        "links": [],
    }
    key = books.keys.get(resource["id"]) or (key_of(resource) if kind == "checkout-order" else event_id)
    return Event(account=books.owner_of(resource["id"]), body=msgspec.json.encode(body), fault_key=f"{key}/{name}")
