"""The double of Mollie: its API, its errors and its webhooks, for the harness of all doubles."""

import copy
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import parse_qs, urlencode

import msgspec

from paidonce.clock import Clock, Instant, system_clock
from paidonce.providers.simulator.faults import FaultPlan
from paidonce.proving.doubles.calls import ApiCall, ApiFailure, Json, PreparedCall, Reply, match_path
from paidonce.proving.doubles.mollie import pages, params, payments
from paidonce.proving.doubles.mollie.books import Books, Record
from paidonce.proving.doubles.mollie.params import DOCUMENTATION, HAL, HTML, MollieFailure, hal, link
from paidonce.proving.doubles.server import Double
from paidonce.proving.doubles.webhooks import Event, WebhookTarget

API_KEY: Final = "test_double00000000000000000000000000"
KEY_LIFETIME_MS: Final = 60 * 60 * 1000
PAGE_SIZE: Final = 50
PAGE_SIZE_MAX: Final = 250
FORM: Final = "application/x-www-form-urlencoded"
SERVER_ERROR: Final = MollieFailure(500, "An internal error occurred.").reply
WITH_CLASSIC_WEBHOOK: Final = frozenset(
    {
        "payment.paid",
        "payment.authorized",
        "payment.expired",
        "payment.failed",
        "payment.canceled",
        "refund.processing",
        "refund.refunded",
        "refund.failed",
        "chargeback.received",
    }
)

Handler: TypeAlias = Callable[[Books, str, tuple[str, ...], Json], Reply]


class Route(NamedTuple):
    """A call: how its parameters are checked, and the function that answers it, given the ids in the path."""

    method: str
    pattern: str
    check: Callable[[Json], None]
    handler: Handler


def _retrieve(books: Books, account: str, ids: tuple[str, ...], given: Json) -> Reply:
    return hal(200, payments.retrieve(books, books.found(ids[0], account), given.get("embed", "")))


def _release(books: Books, account: str, ids: tuple[str, ...], _given: Json) -> Reply:
    payments.release(books, books.found(ids[0], account))
    return Reply(202)


def _listing(what: str) -> Handler:
    def answer(books: Books, account: str, ids: tuple[str, ...], given: Json) -> Reply:
        record = books.found(ids[0], account)
        payments.read(books, record)
        listed = record.captures if what == "captures" else record.refunds
        return hal(200, _page(f"{books.url}/v2/payments/{record.id}/{what}", what, listed[::-1], given))

    return answer


def _list_payments(books: Books, account: str, _ids: tuple[str, ...], given: Json) -> Reply:
    listed = [record.payment for record in books if record.account == account]
    return hal(200, _page(f"{books.url}/v2/payments", "payments", listed, given))


def _profile(books: Books, _account: str, _ids: tuple[str, ...], _given: Json) -> Reply:
    profile = {
        "resource": "profile",
        "id": "pfl_double0000",
        "mode": "test",
        "name": "Double",
        "website": books.url,
        "email": "double@shop.example",
        "phone": "+31208202070",
        "businessCategory": "OTHER_MERCHANDISE",
        "status": "verified",
        "createdAt": books.time(),
        "_links": {"self": link(f"{books.url}/v2/profiles/me", HAL), "documentation": link(DOCUMENTATION, HTML)},
    }
    return hal(200, profile)


ROUTES: Final = (
    Route(
        "POST",
        "/v2/payments",
        params.check_payment,
        lambda books, account, _, given: hal(201, payments.create(books, account, given)),
    ),
    Route("GET", "/v2/payments", lambda _: None, _list_payments),
    Route("GET", "/v2/payments/{id}", lambda _: None, _retrieve),
    Route(
        "DELETE",
        "/v2/payments/{id}",
        params.check_nothing,
        lambda books, account, ids, _: hal(200, payments.cancel(books, books.found(ids[0], account))),
    ),
    Route(
        "POST",
        "/v2/payments/{id}/captures",
        params.check_change,
        lambda books, account, ids, given: hal(201, payments.capture(books, books.found(ids[0], account), given)),
    ),
    Route("GET", "/v2/payments/{id}/captures", lambda _: None, _listing("captures")),
    Route("POST", "/v2/payments/{id}/release-authorization", params.check_nothing, _release),
    Route(
        "POST",
        "/v2/payments/{id}/refunds",
        params.check_change,
        lambda books, account, ids, given: hal(201, payments.refund(books, books.found(ids[0], account), given)),
    ),
    Route("GET", "/v2/payments/{id}/refunds", lambda _: None, _listing("refunds")),
    Route("GET", "/v2/profiles/me", lambda _: None, _profile),
)


class MollieApi:
    """Mollie's API before ``books``. ``accounts`` are known by their API keys."""

    name = "Mollie"
    paths: tuple[str, ...] = ("/v2/{path:path}",)
    server_error = SERVER_ERROR

    def __init__(self, books: Books, accounts: Mapping[str, WebhookTarget | None]) -> None:
        self.books = books
        self._accounts = accounts

    def prepare(self, call: ApiCall) -> PreparedCall:
        """Authenticate a call and check its parameters; raises ApiFailure."""
        scheme, _, api_key = call.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or api_key not in self._accounts:
            raise MollieFailure(401, "Missing authentication, or failed to authenticate")
        route, ids = _route_of(call)
        if call.method == "GET":
            given: Json = {name: values[0] for name, values in parse_qs(call.query).items()}
        else:
            given = params.read_body(call.body)
        route.check(given)
        key = call.headers.get("idempotency-key", "") if call.method != "GET" else ""
        metadata = given.get("metadata")
        ours = metadata.get("paidonce_key", "") if isinstance(metadata, dict) else ""
        return PreparedCall(
            execute=lambda: route.handler(self.books, api_key, ids, given),
            params=given,
            key=key,
            key_lifetime_ms=KEY_LIFETIME_MS,
            key_stores_errors=False,
            operation=f"{ours} {route.pattern}" if ours else call.path,
        )

    def key_reused(self, key: str) -> ApiFailure:
        """Return the failure of a key that was used before with other parameters."""
        return MollieFailure(422, f"The idempotency key {key} was used with another request.")

    def key_in_use(self, key: str) -> ApiFailure:
        """Return the failure of a key whose first request is being executed."""
        return MollieFailure(409, f"A request with the idempotency key {key} is in progress.")

    def webhook_headers(self, body: bytes, secret: str, now: Instant) -> Mapping[str, str]:  # noqa: ARG002 - no time in it
        """Return the headers of one try to send a webhook. A classic one, which is a form, is not signed."""
        return {} if body.startswith(b"id=") else {"X-Mollie-Signature": signature(secret, body)}


MollieDouble: TypeAlias = Double[Books]


def create_double(
    *, url: str, clock: Clock = system_clock, plan: FaultPlan | None = None, target: WebhookTarget | None = None
) -> MollieDouble:
    """Create a double with one account, whose signed webhooks go to ``target``. Its pages are at ``url``."""
    books = Books(url=url, clock=clock)
    accounts: dict[str, WebhookTarget | None] = {API_KEY: target}
    double = Double(MollieApi(books, accounts), clock=clock, plan=plan, accounts=accounts, routes=pages.routes)

    def tell(kind: str, record: Record, about: Json) -> None:
        key = (record.payment["metadata"] or {}).get("paidonce_key", record.id)
        url = record.payment["webhookUrl"]
        if url and kind in WITH_CLASSIC_WEBHOOK:
            body = urlencode({"id": record.id}).encode()
            fault_key = f"{key}/{kind}"
            double.emit(Event(account=record.account, body=body, fault_key=fault_key, url=url, content_type=FORM))
        body = msgspec.json.encode(_event(books, kind, about))
        double.emit(Event(account=record.account, body=body, fault_key=f"{key}/{kind}/signed"))

    books.tell = tell
    return double


def signature(secret: str, body: bytes) -> str:
    """Return the header ``X-Mollie-Signature``."""
    return f"sha256={hmac.digest(secret.encode(), body, hashlib.sha256).hex()}"


def _event(books: Books, kind: str, about: Json) -> Json:
    return {
        "resource": "event",
        "id": books.new_id("event"),
        "type": kind,
        "entityId": about["id"],
        "createdAt": books.time(),
        "_embedded": {"entity": copy.deepcopy(about)},
        "_links": {"self": link(f"{books.url}/v2/events", HAL), "documentation": link(DOCUMENTATION, HTML)},
    }


def _page(url: str, what: str, listed: list[Json], given: Json) -> Json:
    limit = int(given.get("limit", PAGE_SIZE))
    if not 1 <= limit <= PAGE_SIZE_MAX:
        raise MollieFailure(400, "Invalid limit", "limit")
    if "from" in given:
        ids = [one["id"] for one in listed]
        if given["from"] not in ids:
            raise MollieFailure(400, "Invalid from", "from")
        listed = listed[ids.index(given["from"]) :]
    page, rest = listed[:limit], listed[limit:]
    following = link(f"{url}?{urlencode({'from': rest[0]['id'], 'limit': limit})}", HAL) if rest else None
    links = {"self": link(url, HAL), "previous": None, "next": following, "documentation": link(DOCUMENTATION, HTML)}
    return {"count": len(page), "_embedded": {what: page}, "_links": links}


def _route_of(call: ApiCall) -> tuple[Route, tuple[str, ...]]:
    for route in ROUTES:
        ids = match_path(route.pattern, call.path)
        if ids is not None and call.method == route.method:
            return route, ids
    raise MollieFailure(404, "No route exists for this URL and method.")
