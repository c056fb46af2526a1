"""The double of PayPal: its strictness, its request ids, its pages and its webhooks."""

import asyncio
import base64
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

import httpx
import msgspec
import pytest

from paidonce.clock import system_clock
from paidonce.providers.base import Provider
from paidonce.providers.evidence import (
    Authorized,
    Declined,
    Evidence,
    Notice,
    Opened,
    Redirect,
    RequiresAction,
    Succeeded,
)
from paidonce.providers.simulator.faults import FaultPlan
from paidonce.proving.doubles.paypal.server import CLIENT_ID, CLIENT_SECRET, PayPalDouble
from paidonce.proving.doubles.webhooks import WebhookTarget
from paidonce.proving.processes import free_port
from tests.support.doubles import RETURN_URL, SettableClock, charge_request, modification, visit
from tests.support.paypal import WEBHOOK_ID, approve, approved, connected, opened, paypal_double
from tests.support.raw_server import OK, raw_server

HOUR_MS: Final = 60 * 60 * 1000
EXPERIENCE: Final = {"return_url": RETURN_URL, "cancel_url": RETURN_URL}
ORDER: Final[dict[str, Any]] = {
    "intent": "CAPTURE",
    "purchase_units": [{"amount": {"currency_code": "USD", "value": "10.00"}, "custom_id": "att_1"}],
    "payment_source": {"paypal": {"experience_context": EXPERIENCE}},
}


@pytest.fixture(scope="module")
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture(scope="module")
def double(clock: SettableClock) -> Iterator[PayPalDouble]:
    with paypal_double(clock=clock) as one:
        yield one


def token(double: PayPalDouble, secret: str = CLIENT_SECRET, grant: str = "client_credentials") -> httpx.Response:
    basic = base64.b64encode(f"{CLIENT_ID}:{secret}".encode()).decode()
    url, headers = f"{double.books.url}/v1/oauth2/token", {"Authorization": f"Basic {basic}"}
    return httpx.post(url, data={"grant_type": grant}, headers=headers)


def ask(double: PayPalDouble, method: str, path: str, body: Any = None, key: str = "") -> httpx.Response:  # noqa: ANN401 - JSON
    headers = {"Authorization": f"Bearer {token(double).json()['access_token']}"}
    headers |= {"PayPal-Request-Id": key} if key else {}
    return httpx.request(method, f"{double.books.url}{path}", json=body, headers=headers)


def issue(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["details"][0]["issue"]


def order_id(double: PayPalDouble, key: str, **changed: Any) -> str:  # noqa: ANN401 - JSON
    answer = ask(double, "POST", "/v2/checkout/orders", ORDER | changed, key)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@pytest.mark.parametrize(
    ("changed", "status", "found"),
    [
        ({"intent": "SALE"}, 400, "INVALID_PARAMETER_SYNTAX"),
        ({"unknown": 1}, 400, "INVALID_PARAMETER_SYNTAX"),
        ({"purchase_units": []}, 400, "INVALID_PARAMETER_SYNTAX"),
        ({"payment_source": {"paypal": {}}}, 400, "INVALID_PARAMETER_SYNTAX"),
        ({"purchase_units": [{"amount": {"currency_code": "USD", "value": 10}}]}, 400, "INVALID_PARAMETER_SYNTAX"),
        ({"purchase_units": [{"amount": {"currency_code": "ISK", "value": "10"}}]}, 422, "INVALID_CURRENCY_CODE"),
        ({"purchase_units": [{"amount": {"currency_code": "HUF", "value": "1.00"}}]}, 422, "DECIMALS_NOT_SUPPORTED"),
        ({"purchase_units": [{"amount": {"currency_code": "USD", "value": "1.001"}}]}, 422, "DECIMAL_PRECISION"),
        (
            {"purchase_units": [{"amount": {"currency_code": "USD", "value": "0.00"}}]},
            422,
            "CANNOT_BE_ZERO_OR_NEGATIVE",
        ),
        ({"purchase_units": [{"amount": {"currency_code": "USD", "value": f"{10**15}"}}]}, 422, "MAX_VALUE_EXCEEDED"),
    ],
)
def test_what_paypal_refuses_is_refused(double: PayPalDouble, changed: Any, status: int, found: str) -> None:  # noqa: ANN401 - JSON
    assert issue(ask(double, "POST", "/v2/checkout/orders", ORDER | changed, "refused")) == (status, found)


def test_an_order_needs_a_request_id_and_every_call_a_token(double: PayPalDouble) -> None:
    assert issue(ask(double, "POST", "/v2/checkout/orders", ORDER)) == (400, "PAYPAL_REQUEST_ID_REQUIRED")
    assert httpx.post(f"{double.books.url}/v2/checkout/orders", json=ORDER).status_code == 401
    assert token(double, secret="another").status_code == 401
    assert token(double, grant="password").status_code == 400
    assert issue(ask(double, "DELETE", "/v2/checkout/orders/O1")) == (404, "INVALID_RESOURCE_ID")


def test_a_request_id_is_answered_with_the_latest_status_and_belongs_to_one_request(double: PayPalDouble) -> None:
    first = order_id(double, "repeated")
    double.books.objects["order"][first]["status"] = "APPROVED"
    again = ask(double, "POST", "/v2/checkout/orders", ORDER, "repeated")
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (200, first, "APPROVED")
    other = ask(double, "POST", "/v2/checkout/orders", ORDER | {"intent": "AUTHORIZE"}, "repeated")
    assert issue(other) == (422, "PAYPAL_REQUEST_ID_PREVIOUSLY_USED")


def test_a_request_id_of_an_order_is_forgotten_after_six_hours(double: PayPalDouble, clock: SettableClock) -> None:
    first = order_id(double, "forgotten")
    clock.now += 6 * HOUR_MS
    assert order_id(double, "forgotten") != first


def test_a_refusal_is_not_stored_for_the_request_id(double: PayPalDouble) -> None:
    one = order_id(double, "refused-then-done")
    capture = f"/v2/checkout/orders/{one}/capture"
    assert issue(ask(double, "POST", capture, {}, "charge")) == (422, "ORDER_NOT_APPROVED")
    double.books.objects["order"][one]["status"] = "APPROVED"
    assert ask(double, "POST", capture, {}, "charge").status_code == 201
    assert ask(double, "POST", capture, {}, "charge").status_code == 200
    assert issue(ask(double, "POST", capture, {}, "another")) == (422, "ORDER_ALREADY_CAPTURED")


def test_a_completed_order_cannot_be_changed_and_a_change_is_made_whole_or_not_at_all(double: PayPalDouble) -> None:
    one = order_id(double, "changed")
    path = f"/v2/checkout/orders/{one}"
    intent = {"op": "replace", "path": "/intent", "value": "AUTHORIZE"}
    wrong = {"op": "replace", "path": "/purchase_units/@reference_id=='other'/custom_id", "value": "x"}
    assert issue(ask(double, "PATCH", path, [intent, wrong])) == (422, "REFERENCE_ID_NOT_FOUND")
    assert ask(double, "GET", path).json()["intent"] == "CAPTURE"
    assert ask(double, "PATCH", path, [intent]).status_code == 204
    assert ask(double, "GET", path).json()["intent"] == "AUTHORIZE"
    double.books.objects["order"][one]["status"] = "COMPLETED"
    assert issue(ask(double, "PATCH", path, [intent])) == (422, "ORDER_ALREADY_COMPLETED")


def test_an_order_that_nobody_approves_is_forgotten(double: PayPalDouble, clock: SettableClock) -> None:
    one = order_id(double, "abandoned")
    clock.now += 6 * HOUR_MS
    assert issue(ask(double, "GET", f"/v2/checkout/orders/{one}")) == (404, "INVALID_RESOURCE_ID")


def test_a_page_shows_the_order_and_refuses_what_is_not_there(double: PayPalDouble) -> None:
    url = f"{double.books.url}/checkoutnow?token="
    one = order_id(double, "shown")
    assert "Pay 10.00 USD" in httpx.get(f"{url}{one}").text
    assert httpx.get(f"{url}O404").status_code == 404
    assert httpx.post(f"{url}{one}", data={"act": "approve", "funding": "gold"}).status_code == 400
    assert httpx.post(f"{url}{one}", data={"act": "approve"}).status_code == 303
    assert "APPROVED" in httpx.get(f"{url}{one}").text


async def test_the_books_tell_every_movement_of_money_and_whose_it_was() -> None:
    with paypal_double() as double:
        async with connected(double.books.url) as paypal:
            held = await paypal.charge(await approved(paypal, "att_books", capture=False))
            assert isinstance(held, Authorized)
            await paypal.capture(modification("capture", "att_booksc", held.reference, 700))
            await paypal.refund(modification("refund", "att_booksr", held.reference, 300))
        async with httpx.AsyncClient() as reader:
            shown = (await reader.get(f"{double.books.url}/double/books")).json()
    moved = [(one["kind"], one["amount"], one["operationKey"], one["checkoutId"]) for one in shown["movements"]]
    assert moved == [
        ("authorization", 1000, "att_books", "chk_att_books"),
        ("capture", 700, "att_booksc", "chk_att_books"),
        ("release", 300, "", "chk_att_books"),
        ("refund", 300, "att_booksr", "chk_att_books"),
    ]
    assert {one["paymentId"] for one in shown["movements"]} == {held.reference}
    assert {one["account"] for one in shown["movements"]} == {CLIENT_ID}
    assert shown["charged"] == {"chk_att_books": [700]}


async def test_webhooks_are_signed_so_that_the_connector_believes_them_and_tell_what_happened() -> None:
    async with raw_server(OK) as receiver:
        with paypal_double(target=WebhookTarget(f"{receiver.url}/hook", WEBHOOK_ID)) as double:
            async with connected(double.books.url) as paypal:
                request = await opened(paypal, "att_hook")
                await approve(paypal, request)
                proof = await paypal.charge(request)
                await receiver.wait_for_requests(2)
                notices = [await read(paypal, raw) for raw in receiver.requests]
    assert [(one.key, one.evidence) for one in sorted(notices, key=lambda one: str(one.evidence))] == [
        ("att_hook", Opened(request.session_reference or "")),
        ("att_hook", proof),
    ]


async def read(paypal: Provider, raw: bytes) -> Notice:
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:]]
    (notice,) = await paypal.read_webhook({name: value for name, _, value in lines}, body) or ()
    return notice


async def proof_of_charge(paypal: Provider, key: str, funding: str) -> Evidence:
    """Pay as the service does: each step again, until there is proof."""
    request, found = charge_request(key, now=system_clock()), await paypal.open(charge_request(key))
    while not isinstance(found, RequiresAction):
        found = await paypal.open(request)
    assert isinstance(found.action, Redirect)
    await visit(found.action.url, act="approve", funding=funding)
    request = msgspec.structs.replace(request, session_reference=found.reference)
    while not isinstance(evidence := await paypal.look_up(request), Succeeded | Declined):
        await paypal.charge(request)
        request = msgspec.structs.replace(request, call_number=request.call_number + 1)
    return evidence


async def test_whatever_fails_each_payment_is_charged_at_most_once() -> None:
    with paypal_double(plan=FaultPlan(rate=0.4, seed=7)) as double:
        async with connected(double.books.url, timeout_seconds=1.0) as paypal:
            fundings = ["balance", "dropped_after_charge", "instrument_declined"] * 4
            proofs = await asyncio.gather(
                *(proof_of_charge(paypal, f"att_{number}", funding) for number, funding in enumerate(fundings))
            )
        assert [type(one) for one in proofs] == [Succeeded, Succeeded, Declined] * 4
        paid = {f"chk_att_{number}": [1000] for number in range(12) if number % 3 < 2}
        assert double.books.ledger.charged() == paid
        assert sum(double.faults.values()) > 4


@pytest.fixture
def process_url() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "paidonce.proving.doubles.paypal", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert CLIENT_ID in process.stdout.readline()
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.communicate()


async def test_the_double_runs_as_a_process_of_its_own(process_url: str) -> None:
    async with connected(process_url) as paypal:
        while await paypal.check():  # It announces itself just before it listens.
            continue
        await opened(paypal, "att_own", now=system_clock())
