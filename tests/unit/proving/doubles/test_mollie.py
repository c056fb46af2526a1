"""The double of Mollie: its strictness, its idempotency keys, its pages, and what it does without a request."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from paidonce.proving.doubles.mollie.server import API_KEY, MollieDouble
from paidonce.proving.processes import free_port
from tests.support.doubles import SettableClock
from tests.support.mollie import mollie_double

HOUR_MS: Final = 60 * 60 * 1000
AMOUNT: Final = {"currency": "EUR", "value": "10.00"}
PAYMENT: Final[dict[str, Any]] = {
    "amount": AMOUNT,
    "description": "Two tickets",
    "redirectUrl": "https://shop.example/back",
    "metadata": {"paidonce_key": "att_1", "paidonce_checkout": "chk_1"},
}


@pytest.fixture(scope="module")
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture(scope="module")
def double(clock: SettableClock) -> Iterator[MollieDouble]:
    with mollie_double(clock=clock) as one:
        yield one


def ask(
    double: MollieDouble, method: str, path: str, body: object = None, *, key: str = "", api_key: str = API_KEY
) -> httpx.Response:
    headers = {"Authorization": f"Bearer {api_key}"} | ({"Idempotency-Key": key} if key else {})
    return httpx.request(method, f"{double.books.url}/v2/{path}", json=body, headers=headers, timeout=60)


def opened(double: MollieDouble, **fields: object) -> dict[str, Any]:
    answer = ask(double, "POST", "payments", PAYMENT | fields)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def visited(payment: dict[str, Any], **form: str) -> httpx.Response:
    return httpx.post(payment["_links"]["checkout"]["href"], data=form, timeout=60)


def bought(double: MollieDouble, *, settlement: str = "now", **fields: object) -> str:
    payment = opened(double, **fields)
    visited(payment, act="pay", settlement=settlement)
    return str(payment["id"])


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"amount": None}, "amount"),
        ({"amount": {"currency": "EUR", "value": 10}}, "amount.value"),
        ({"amount": {"currency": "EUR", "value": "10"}}, "amount.value"),
        ({"amount": {"currency": "JPY", "value": "10.00"}}, "amount.value"),
        ({"amount": {"currency": "EUR", "value": "0.00"}}, "amount"),
        ({"amount": {"currency": "KWD", "value": "10.000"}}, "amount.currency"),
        ({"description": ""}, "description"),
        ({"redirectUrl": "/back"}, "redirectUrl"),
        ({"method": "cash"}, "method"),
        ({"captureMode": "later"}, "captureMode"),
        ({"captureMode": "manual", "method": "ideal"}, "captureMode"),
        ({"metadata": {"note": "x" * 2000}}, "metadata"),
        ({"expiresAt": "2026-01-02"}, "expiresAt"),
    ],
)
def test_a_request_that_is_wrong_is_refused_with_the_field(
    double: MollieDouble, fields: dict[str, object], field: str
) -> None:
    refused = ask(double, "POST", "payments", PAYMENT | fields)
    assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert refused.headers["content-type"] == "application/hal+json"


def test_who_has_no_key_or_another_account_s_finds_nothing(double: MollieDouble) -> None:
    payment_id = bought(double)
    assert ask(double, "GET", f"payments/{payment_id}", api_key="test_of_nobody").status_code == 401
    other = "test_other0000000000000000000000000"
    httpx.post(f"{double.books.url}/double/accounts", json=[{"credential": other}])
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/captures"), ("POST", "/release-authorization")):
        assert ask(double, method, f"payments/{payment_id}{path}", {}, api_key=other).status_code == 404
    assert ask(double, "GET", "payments", api_key=other).json()["count"] == 0
    assert ask(double, "GET", "payments").json()["count"] > 0


def test_a_key_is_remembered_for_an_hour(double: MollieDouble, clock: SettableClock) -> None:
    first = ask(double, "POST", "payments", PAYMENT, key="once").json()
    assert ask(double, "POST", "payments", PAYMENT, key="once").json() == first
    other = ask(double, "POST", "payments", PAYMENT | {"description": "Other"}, key="once")
    assert other.status_code == 422
    clock.now += HOUR_MS
    assert ask(double, "POST", "payments", PAYMENT, key="once").json()["id"] != first["id"]


@pytest.mark.parametrize(
    ("act", "status"),
    [("pay", "paid"), ("fail", "failed"), ("cancel", "canceled"), ("expire", "expired"), ("begin", "pending")],
)
def test_a_buyer_acts_once_on_the_page_and_goes_back_to_the_shop(double: MollieDouble, act: str, status: str) -> None:
    payment = opened(double, cancelUrl="https://shop.example/canceled")
    page = payment["_links"]["checkout"]["href"]
    assert "10.00 EUR" in httpx.get(page).text
    back = visited(payment, act=act, reason="card_expired")
    assert back.headers["location"] == f"https://shop.example/{'canceled' if act == 'cancel' else 'back'}"
    assert ask(double, "GET", f"payments/{payment['id']}").json()["status"] == status
    assert httpx.get(page).status_code == 410
    visited(payment, act="cancel" if act == "pay" else "pay")
    assert ask(double, "GET", f"payments/{payment['id']}").json()["status"] == status
    assert httpx.get(f"{double.books.url}/pay/tr_nowhere").status_code == 404


def test_only_some_open_payments_can_be_canceled(double: MollieDouble) -> None:
    for method, canceled in ((None, 200), ("creditcard", 200), ("ideal", 422)):
        payment = opened(double, method=method)
        assert payment["isCancelable"] is (canceled == 200)
        assert ask(double, "DELETE", f"payments/{payment['id']}", {}).status_code == canceled
    assert ask(double, "DELETE", f"payments/{bought(double)}", {}).status_code == 422


def test_no_more_is_captured_than_is_authorized_and_no_more_refunded_than_was_captured(double: MollieDouble) -> None:
    held = bought(double, captureMode="manual", method="creditcard")

    def change(what: str, value: str) -> int:
        return ask(double, "POST", f"payments/{held}/{what}", {"amount": AMOUNT | {"value": value}}).status_code

    assert change("refunds", "1.00") == 422
    assert [change("captures", value) for value in ("10.01", "4.00", "6.01", "6.00", "0.01")] == [
        422,
        201,
        422,
        201,
        422,
    ]
    assert [change("refunds", value) for value in ("10.01", "4.00", "6.01", "6.00")] == [422, 201, 422, 201]
    assert ask(double, "POST", f"payments/{held}/release-authorization", {}).status_code == 422


def test_nothing_is_released_while_a_capture_is_pending(double: MollieDouble) -> None:
    held = bought(double, captureMode="manual", method="creditcard", settlement="open")
    capture = ask(double, "POST", f"payments/{held}/captures", {"amount": AMOUNT | {"value": "4.00"}}).json()
    assert capture["status"] == "pending"
    assert ask(double, "POST", f"payments/{held}/release-authorization", {}).status_code == 422
    httpx.post(f"{double.books.url}/double/captures/{capture['id']}/succeeded")
    assert ask(double, "POST", f"payments/{held}/release-authorization", {}).status_code == 202
    assert ask(double, "GET", f"payments/{held}").json()["status"] == "paid"
    books = httpx.get(f"{double.books.url}/double/books").json()
    mine = [(one["kind"], one["amount"]) for one in books["movements"] if one["paymentId"] == held]
    assert mine == [("authorization", 1000), ("capture", 400), ("release", 600)]


def test_lists_are_pages_newest_first(double: MollieDouble) -> None:
    paid = bought(double)
    made = [
        ask(double, "POST", f"payments/{paid}/refunds", {"amount": AMOUNT | {"value": "0.01"}}).json()["id"]
        for _ in range(3)
    ]
    page = ask(double, "GET", f"payments/{paid}/refunds?limit=2").json()
    assert [one["id"] for one in page["_embedded"]["refunds"]] == made[:0:-1]
    following = page["_links"]["next"]["href"].partition("/v2/")[2]
    last = ask(double, "GET", following).json()
    assert ([one["id"] for one in last["_embedded"]["refunds"]], last["_links"]["next"]) == ([made[0]], None)
    for wrong in ("limit=0", "limit=251", "from=re_nowhere"):
        assert ask(double, "GET", f"payments/{paid}/refunds?{wrong}").status_code == 400


def test_the_double_is_served_by_a_command() -> None:
    port = free_port()
    command = [sys.executable, "-m", "paidonce.proving.doubles.mollie", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert API_KEY in process.stdout.readline()
            answer = httpx.HTTPTransport(retries=20)
            with httpx.Client(transport=answer, timeout=60) as client:
                headers = {"Authorization": f"Bearer {API_KEY}"}
                found = client.get(f"http://127.0.0.1:{port}/v2/profiles/me", headers=headers)
            assert found.json()["mode"] == "test"
        finally:
            process.terminate()
