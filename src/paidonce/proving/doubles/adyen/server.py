"""The double of Adyen: its API, its errors and its signed webhooks, for the harness of all doubles.

From "API idempotency" (docs.adyen.com/development-resources/api-idempotency) and "Verify HMAC signatures"
(docs.adyen.com/development-resources/webhooks/verify-hmac-signatures), read 2026-11.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

import msgspec

from paidonce.clock import DAY_MS, Clock, Instant, system_clock
from paidonce.providers.simulator.faults import Fault, FaultPlan
from paidonce.proving.doubles.adyen import links, pages, params, payments
from paidonce.proving.doubles.adyen.books import Books, format_time
from paidonce.proving.doubles.adyen.cards import STORED, Card
from paidonce.proving.doubles.adyen.params import AdyenFailure
from paidonce.proving.doubles.calls import ApiCall, ApiFailure, Json, PreparedCall, Reply, match_path
from paidonce.proving.doubles.server import Double
from paidonce.proving.doubles.webhooks import Event, WebhookTarget

API_KEY: Final = "AQE_double_of_adyen_0000"
MERCHANT_ACCOUNT: Final = "ShopECOM"
KEY_LIFETIME_MS: Final = 7 * DAY_MS

Handler: TypeAlias = Callable[[Books, str, Json], Json]


class Route(NamedTuple):
    """A call: the kind of its body, its status, and the function that answers it, given the id in the path."""

    method: str
    pattern: str
    kind: str
    status: int
    handler: Handler


ROUTES: Final = (
    Route("POST", "/v72/paymentLinks", "link", 201, lambda books, _, given: links.create(books, given)),
    Route("GET", "/v72/paymentLinks/{id}", "", 200, lambda books, one, _: books.link(one)),
    Route(
        "PATCH",
        "/v72/paymentLinks/{id}",
        "link_update",
        200,
        lambda books, one, given: links.update(books.link(one), given),
    ),
    Route("POST", "/v72/payments", "payment", 200, lambda books, _, given: payments.pay(books, given)),
    Route(
        "POST",
        "/v72/payments/{id}/captures",
        "capture",
        201,
        lambda books, one, given: payments.capture(books, books.payment(one), given),
    ),
    Route(
        "POST",
        "/v72/payments/{id}/cancels",
        "cancel",
        201,
        lambda books, one, given: payments.cancel(books, books.payment(one), given),
    ),
    Route(
        "POST",
        "/v72/payments/{id}/refunds",
        "refund",
        201,
        lambda books, one, given: payments.refund(books, books.payment(one), given),
    ),
    Route("POST", "/v72/paymentMethods", "payment_methods", 200, lambda _books, _id, _given: {"paymentMethods": []}),
)


class AdyenApi:
    """Adyen's API before ``books``. ``accounts`` are known by their API keys."""

    name = "Adyen"
    paths: tuple[str, ...] = ("/v72/{path:path}",)
    server_error = Reply(
        500, {"status": 500, "errorCode": "000", "message": "An error occurred.", "errorType": "internal"}
    )

    def __init__(self, books: Books, accounts: Mapping[str, WebhookTarget | None]) -> None:
        self.books = books
        self.targets: dict[str, WebhookTarget] = {}  # A revoked API key ends no webhooks.
        self._accounts = accounts
        self._called: set[str] = set()  # References of payments: only the first call with a card fails.

    def prepare(self, call: ApiCall) -> PreparedCall:
        """Authenticate a call and check its parameters; raises ApiFailure."""
        api_key = call.headers.get("x-api-key", "")
        if api_key not in self._accounts:
            raise AdyenFailure(401, "000", "HTTP Status Response - Unauthorized", "security")
        self.targets[api_key] = self._accounts[api_key] or WebhookTarget("")
        route, object_id = _route_of(call)
        given = params.read_body(call.body, route.kind) if route.kind else {}
        if given.get("merchantAccount", MERCHANT_ACCOUNT) != MERCHANT_ACCOUNT:
            raise AdyenFailure(403, "901", "Invalid Merchant Account", "security")
        key = call.headers.get("idempotency-key", "") if call.method == "POST" else ""
        if len(key) > params.KEY_LENGTH_MAX:
            raise AdyenFailure(422, "702", "The idempotency key is too long")
        card = _card_of(route, given)
        return PreparedCall(
            execute=lambda: self._execute(route, object_id, given, api_key),
            params=given,
            key=f"{api_key}/{key}" if key else "",
            key_lifetime_ms=KEY_LIFETIME_MS,
            # An error that is not marked as transient is stored; the plan's faults would never end if it was.
            key_stores_errors=card.stores_error,
            operation=given.get("reference") or object_id or call.path,
            fault=self._fault_of(card, given),
        )

    def key_reused(self, key: str) -> ApiFailure:
        """Return the failure of a key that was used before with other parameters."""
        return AdyenFailure(422, "704", f"The idempotency key was used with another request: {key}")

    def key_in_use(self, key: str) -> ApiFailure:
        """Return the failure of a key whose first request is being executed."""
        return AdyenFailure(422, "704", f"Request already processed or in progress: {key}")

    def webhook_headers(self, body: bytes, secret: str, now: Instant) -> Mapping[str, str]:  # noqa: ARG002 - the body is signed inside
        """Return the headers of a webhook."""
        return {}

    def _fault_of(self, card: Card, given: Json) -> Fault:
        if card.fault is Fault.NONE or given["reference"] in self._called:
            return Fault.NONE
        self._called.add(given["reference"])
        return card.fault

    def _execute(self, route: Route, object_id: str, given: Json, api_key: str) -> Reply:
        self.books.api_key = api_key
        return Reply(route.status, route.handler(self.books, object_id, given))


AdyenDouble: TypeAlias = Double[Books]


def create_double(
    *, url: str, clock: Clock = system_clock, plan: FaultPlan | None = None, target: WebhookTarget | None = None
) -> AdyenDouble:
    """Create a double with one account, whose webhooks go to ``target``. Its pages are at ``url``."""
    books = Books(url=url, clock=clock)
    accounts: dict[str, WebhookTarget | None] = {API_KEY: target}
    api = AdyenApi(books, accounts)
    double = Double(api, clock=clock, plan=plan, accounts=accounts, routes=pages.routes)

    def tell(payment_reference: str, notification: Json) -> None:
        account = books.owner_of(payment_reference)
        target = api.targets[account]
        body = webhook({**notification, "eventDate": format_time(clock())}, target.secret)
        books.webhooks.append(body)
        fault_key = f"{notification['merchantReference']}/{notification['eventCode']}"
        double.emit(Event(account=account, body=body, fault_key=fault_key, url=target.url, must_arrive=True))

    books.tell = tell
    return double


def webhook(notification: Json, hmac_key: str) -> bytes:
    """Write a webhook with one notification, signed with the key where there is one."""
    if hmac_key:
        signature = signature_of(notification, hmac_key)
        notification = {**notification, "additionalData": {"hmacSignature": signature}}
    return msgspec.json.encode(
        {"live": "false", "notificationItems": [{"NotificationRequestItem": notification}]},
    )


def signature_of(notification: Json, hmac_key: str) -> str:
    """Sign a notification."""
    parts = [
        notification["pspReference"],
        notification.get("originalReference", ""),
        notification["merchantAccountCode"],
        notification["merchantReference"],
        notification["amount"]["value"],
        notification["amount"]["currency"],
        notification["eventCode"],
        notification["success"],
    ]
    payload = ":".join(str(part) for part in parts)
    made = hmac.new(binascii.a2b_hex(hmac_key), payload.encode(), hashlib.sha256)
    return base64.b64encode(made.digest()).decode()


def _route_of(call: ApiCall) -> tuple[Route, str]:
    for route in ROUTES:
        found = match_path(route.pattern, call.path)
        if found is not None and route.method == call.method:
            return route, found[0] if found else ""
    raise AdyenFailure(404, "000", f"There is no call {call.method} {call.path}", "validation")


def _card_of(route: Route, given: Json) -> Card:
    """Return the stored payment method of a payment, for its faults."""
    method = given.get("paymentMethod", {}).get("storedPaymentMethodId") if route.kind == "payment" else None
    return STORED.get(method or "", Card())
