"""The double of Example Pay: its API and its signatures, for the harness of all doubles."""

import copy
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias
from urllib.parse import parse_qs

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from paidonce.clock import Clock, Instant, system_clock
from paidonce.providers.simulator.faults import FaultPlan
from paidonce.proving.doubles.calls import ApiCall, ApiFailure, Json, PreparedCall, Reply
from paidonce.proving.doubles.server import Double
from paidonce.proving.doubles.webhooks import Event, WebhookTarget
from tests.connector_template.double.books import Books, Payment, failed

API_KEY: Final = "ex_test_double00"
CREATE: Final = {"key", "checkout", "amount", "currency", "capture", "description", "returnUrl"}

ExampleDouble: TypeAlias = Double[Books]


class ExampleApi:
    """Example Pay's API before ``books``. ``accounts`` are known by their API keys."""

    name = "Example Pay"
    paths: tuple[str, ...] = ("/payments", "/payments/{path:path}", "/operations/{id}", "/account")
    server_error = Reply(500, {"error": "internal error"})

    def __init__(self, books: Books, accounts: Mapping[str, WebhookTarget | None]) -> None:
        self.books = books
        self._accounts = accounts

    def prepare(self, call: ApiCall) -> PreparedCall:
        """Authenticate a call and check its parameters; raises ApiFailure."""
        scheme, _, account = call.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or account not in self._accounts:
            raise failed(401, "unknown API key")
        given: Json = msgspec.json.decode(call.body) if call.method == "POST" else {}
        execute = self._route(call, account, given)
        key = call.headers.get("idempotency-key", "") if call.method == "POST" else ""
        return PreparedCall(execute=lambda: Reply(200, execute()), params=given, key=key)

    def key_reused(self, key: str) -> ApiFailure:
        """Return the failure of a key that was used before with other parameters."""
        return failed(422, f"the key {key} was used with another request")

    def key_in_use(self, key: str) -> ApiFailure:
        """Return the failure of a key whose first request is being executed."""
        return failed(409, f"a request with the key {key} is being executed")

    def webhook_headers(self, body: bytes, secret: str, now: Instant) -> Mapping[str, str]:
        """Return the headers, with the signature, of one try to send a webhook."""
        return {"Example-Signature": signature(secret, body, now // 1000)}

    def _route(self, call: ApiCall, account: str, given: Json) -> Callable[[], Json]:
        books = self.books
        match (call.method, *call.path.strip("/").split("/")):
            case "POST", "payments" if set(given) == CREATE:
                return lambda: books.create(account, given)
            case "GET", "payments", payment_id:
                return lambda: books.found(payment_id, account).shown
            case "POST", "payments", payment_id, "close":
                return lambda: books.close(books.found(payment_id, account))
            case "POST", "payments", payment_id, "capture" | "void" | "refund" as kind:
                return lambda: books.modify(kind, books.found(payment_id, account), given)
            case "GET", "operations", key:
                return lambda: self._operation(key)
            case "GET", "account":
                return lambda: {"status": "active"}
            case _:
                raise failed(400, "there is no such call, or a parameter is missing or unknown")

    def _operation(self, key: str) -> Json:
        if key not in self.books.operations:
            raise failed(404, "there is no such operation")
        return self.books.operations[key]


def create_double(
    *, url: str, clock: Clock = system_clock, plan: FaultPlan | None = None, target: WebhookTarget | None = None
) -> ExampleDouble:
    """Create a double with one account, whose webhooks go to ``target``. Its pages are at ``url``."""
    books = Books(url=url, clock=clock)
    accounts: dict[str, WebhookTarget | None] = {API_KEY: target}
    double = Double(ExampleApi(books, accounts), clock=clock, plan=plan, accounts=accounts, routes=routes)
    books.tell = lambda kind, payment: double.emit(_event(books, kind, payment))
    return double


def routes(double: ExampleDouble) -> Sequence[BaseRoute]:
    """Return the page where a buyer pays."""
    return [Route("/pay/{id}", partial(_page, double), methods=["GET", "POST"])]


def signature(secret: str, body: bytes, seconds: int) -> str:
    """Return the header ``Example-Signature``."""
    signed = str(seconds).encode() + b"." + body
    return f"t={seconds},v1={hmac.digest(secret.encode(), signed, hashlib.sha256).hex()}"


def _event(books: Books, kind: str, payment: Payment) -> Event:
    body = {"id": books.new_id("evt"), "type": kind, "payment": copy.deepcopy(payment.shown)}
    key = f"{payment.shown['key']}/{kind}"
    return Event(account=payment.account, body=msgspec.json.encode(body), fault_key=key)


async def _page(double: ExampleDouble, request: Request) -> Response:
    """Pay (``act=pay``), be declined (``act=decline``, ``failure=…``), or go back (``act=back``)."""
    payment = double.books.found(request.path_params["id"])
    is_open = payment.shown["status"] == "open"
    if request.method == "POST":
        given = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if is_open and given["act"] == "pay":
            double.books.pay(payment)
        elif is_open and given["act"] == "decline":
            double.books.decline(payment, given["failure"])
        await double.send_events()
        return RedirectResponse(payment.return_url, 303)
    return HTMLResponse("Pay" if is_open else "This payment has ended.", 200 if is_open else 410)
