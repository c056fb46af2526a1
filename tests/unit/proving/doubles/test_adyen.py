"""The double of Adyen: its strictness, its idempotency keys, its links, and its webhooks."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

import httpx
import msgspec
import pytest

from paidonce.providers.base import HOSTED_PAGE
from paidonce.providers.evidence import Accepted, RequiresAction, Succeeded
from paidonce.providers.simulator.faults import Fault, FaultPlan, WebhookFault
from paidonce.proving.doubles.adyen.server import API_KEY, AdyenDouble
from paidonce.proving.doubles.faults import FaultSource
from paidonce.proving.doubles.webhooks import Event, WebhookTarget
from paidonce.proving.processes import free_port
from tests.support.adyen import HMAC_KEY, adyen_double, connected
from tests.support.doubles import SettableClock, charge_request, modification, page_of, visit
from tests.support.raw_server import OK, raw_server

DAY_MS: Final = 24 * 60 * 60 * 1000
AMOUNT: Final = {"value": 1000, "currency": "EUR"}
LINK: Final[dict[str, Any]] = {"merchantAccount": "ShopECOM", "reference": "att_1.link-charge", "amount": AMOUNT}
PAYMENT: Final[dict[str, Any]] = {
    "merchantAccount": "ShopECOM",
    "reference": "att_1.charge",
    "amount": AMOUNT,
    "paymentMethod": {"type": "scheme", "storedPaymentMethodId": "APPROVED"},
    "shopperReference": "shopper-1",
    "shopperInteraction": "ContAuth",
    "recurringProcessingModel": "UnscheduledCardOnFile",
    "returnUrl": "https://shop.example/",
}


@pytest.fixture(scope="module")
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture(scope="module")
def double(clock: SettableClock) -> Iterator[AdyenDouble]:
    with adyen_double(clock=clock) as one:
        yield one


def post(double: AdyenDouble, path: str, body: object, key: str = "", api_key: str = API_KEY) -> httpx.Response:
    headers = {"X-API-Key": api_key} | ({"Idempotency-Key": key} if key else {})
    return httpx.post(f"{double.books.url}/v72/{path}", json=body, headers=headers)


def patch(double: AdyenDouble, link_id: str, status: str = "expired") -> httpx.Response:
    url = f"{double.books.url}/v72/paymentLinks/{link_id}"
    return httpx.patch(url, json={"status": status}, headers={"X-API-Key": API_KEY})


def events_of(double: AdyenDouble) -> list[tuple[str, str, str]]:
    """Return the event, the reference and the outcome of each webhook so far."""
    items = [
        holder["NotificationRequestItem"]
        for body in double.books.webhooks
        for holder in msgspec.json.decode(body)["notificationItems"]
    ]
    return [(one["eventCode"], one["merchantReference"], one["success"]) for one in items]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("paymentLinks", LINK | {"captureMethod": "manual"}, 400, "702"),
        ("paymentLinks", {"merchantAccount": "ShopECOM", "amount": AMOUNT}, 422, "702"),
        ("paymentLinks", LINK | {"reusable": "false"}, 400, "702"),
        ("paymentLinks", LINK | {"amount": AMOUNT | {"value": 0}}, 422, "137"),
        ("paymentLinks", LINK | {"amount": AMOUNT | {"currency": "XYZ"}}, 422, "138"),
        ("paymentLinks", LINK | {"amount": {"value": 1000}}, 422, "702"),
        ("paymentLinks", LINK | {"reference": "x" * 81}, 422, "702"),
        ("paymentLinks", LINK | {"description": "x" * 281}, 422, "702"),
        ("paymentLinks", LINK | {"metadata": {"x" * 21: "y"}}, 422, "178"),
        ("paymentLinks", LINK | {"metadata": {"x": "y" * 81}}, 422, "179"),
        ("paymentLinks", LINK | {"metadata": {str(number): "y" for number in range(21)}}, 422, "177"),
        ("paymentLinks", LINK | {"expiresAt": "2020-01-01T00:00:00+00:00"}, 422, "14_012"),
        ("paymentLinks", LINK | {"expiresAt": "2026-12-31T00:00:00+00:00"}, 422, "14_012"),
        ("paymentLinks", LINK | {"expiresAt": "tomorrow"}, 422, "14_012"),
        ("paymentLinks", LINK | {"merchantAccount": "OtherECOM"}, 403, "901"),
        ("paymentLinks", [], 400, "702"),
        ("payments", {name: value for name, value in PAYMENT.items() if name != "returnUrl"}, 422, "702"),
        ("payments", PAYMENT | {"shopperReference": ""}, 422, "130"),
        ("payments", PAYMENT | {"shopperInteraction": "Ecommerce"}, 422, "903"),
        ("payments", PAYMENT | {"paymentMethod": {"type": "scheme"}}, 422, "14_004"),
        (
            "payments",
            PAYMENT | {"paymentMethod": {"type": "scheme", "storedPaymentMethodId": "NOBODY"}},
            422,
            "803",
        ),
        ("payments/PY0/captures", {"merchantAccount": "ShopECOM", "amount": AMOUNT}, 422, "167"),
        ("payments/PY0/elsewhere", {}, 404, "000"),
    ],
)
def test_a_request_that_adyen_would_refuse_is_refused(
    double: AdyenDouble, path: str, body: object, status: int, code: str
) -> None:
    answer = post(double, path, body)
    assert (answer.status_code, answer.json()["errorCode"]) == (status, code)


def test_an_unknown_api_key_and_a_key_that_is_too_long_are_refused(double: AdyenDouble) -> None:
    assert post(double, "paymentMethods", {"merchantAccount": "ShopECOM"}).status_code == 200
    assert post(double, "paymentMethods", {"merchantAccount": "ShopECOM"}, api_key="other").status_code == 401
    assert post(double, "paymentLinks", LINK, "k" * 64).status_code == 201
    assert post(double, "paymentLinks", LINK, "k" * 65).status_code == 422


def test_a_key_is_remembered_for_seven_days_and_means_one_request(double: AdyenDouble, clock: SettableClock) -> None:
    first = post(double, "payments", PAYMENT, "key-1").json()
    assert post(double, "payments", PAYMENT, "key-1").json() == first
    other = post(double, "payments", PAYMENT | {"reference": "att_2.charge"}, "key-1")
    assert (other.status_code, other.json()["errorCode"]) == (422, "704")
    clock.now += 7 * DAY_MS
    assert post(double, "payments", PAYMENT, "key-1").json()["pspReference"] != first["pspReference"]


def test_a_link_is_paid_once_and_a_refused_try_leaves_it_open(double: AdyenDouble) -> None:
    link = post(double, "paymentLinks", LINK | {"reference": "att_3.link-charge", "returnUrl": "https://shop.example/"})
    url, link_id = link.json()["url"], link.json()["id"]
    for method, target in (
        ("refused", url),
        ("approved", "https://shop.example/"),
        ("approved", "https://shop.example/"),
    ):
        assert httpx.post(url, data={"act": "pay", "method": method}).headers["location"] == target
    assert [one for one in events_of(double) if one[1] == "att_3.link-charge"] == [
        ("AUTHORISATION", "att_3.link-charge", "false"),
        ("AUTHORISATION", "att_3.link-charge", "true"),
    ]
    assert patch(double, link_id).status_code == 422
    assert httpx.get(url).status_code == 410


def test_an_expired_link_takes_no_money_but_a_payment_that_was_begun_before_goes_on(
    double: AdyenDouble, clock: SettableClock
) -> None:
    body = LINK | {"reference": "att_4.link-charge"}
    expired, begun, old = [post(double, "paymentLinks", body).json() for _ in range(3)]
    bank = httpx.post(begun["url"], data={"act": "pay", "method": "3ds"}).headers["location"]
    assert patch(double, expired["id"], "active").status_code == 422
    assert [patch(double, one["id"]).json()["status"] for one in (expired, begun)] == ["expired"] * 2
    clock.now += DAY_MS
    for link in (expired, begun, old):
        httpx.post(link["url"], data={"act": "pay", "method": "approved"})
    assert [one for one in events_of(double) if one[1] == "att_4.link-charge"] == []
    assert "approve" in httpx.get(bank).text
    httpx.post(bank, data={"act": "approve"})
    assert [one for one in events_of(double) if one[1] == "att_4.link-charge"] == [
        ("AUTHORISATION", "att_4.link-charge", "true")
    ]


def test_a_buyer_whom_the_bank_does_not_authenticate_may_try_again(double: AdyenDouble) -> None:
    link = post(double, "paymentLinks", LINK | {"reference": "att_5.link-charge"}).json()
    bank = httpx.post(link["url"], data={"act": "pay", "method": "3ds"}).headers["location"]
    assert httpx.post(bank, data={"act": "refuse"}).headers["location"] == link["url"]
    assert httpx.post(link["url"], data={"act": "cancel"}).headers["location"] == link["url"]
    httpx.post(bank, data={"act": "approve"})
    assert [one[2] for one in events_of(double) if one[1] == "att_5.link-charge"] == ["false", "true"]


async def test_a_refund_that_was_told_as_a_success_may_fail_later_and_the_books_tell_it(double: AdyenDouble) -> None:
    async with connected(double.books.url) as adyen:
        paid = await adyen.charge(charge_request("late", "spm_APPROVED_shopper-1", return_url=None))
        assert isinstance(paid, Succeeded)
        refund = await adyen.refund(modification("refund", "late-refund", paid.reference, 400))
        assert isinstance(refund, Accepted)
        failed = await visit(f"{double.books.url}/double/refunds/{refund.reference}/failed")
        assert failed.status_code == 200
        await adyen.refund(modification("refund", "whole-refund", paid.reference, 1000))
    told = [one for one in events_of(double) if one[1] == "late-refund.refund"]
    assert told == [("REFUND", "late-refund.refund", "true"), ("REFUND_FAILED", "late-refund.refund", "true")]
    moved = [(one.kind, one.amount, one.operation_key) for one in double.books.ledger if one.checkout_id == "chk_late"]
    assert moved == [
        ("charge", 1000, "late"),
        ("refund", 400, "late-refund"),
        ("refund_failed", 400, "late-refund"),
        ("refund", 1000, "whole-refund"),
    ]


def test_a_receipt_of_a_cancellation_has_no_amount_and_the_others_have_one(double: AdyenDouble) -> None:
    reference = post(double, "payments", PAYMENT | {"additionalData": {"manualCapture": "true"}}).json()["pspReference"]
    account = {"merchantAccount": "ShopECOM"}
    receipts = [
        post(double, f"payments/{reference}/{path}", body).json()
        for path, body in (("captures", account | {"amount": AMOUNT}), ("cancels", account))
    ]
    assert [one["status"] for one in receipts] == ["received"] * 2
    assert [one.get("amount") for one in receipts] == [AMOUNT, None]


async def test_the_ledger_tells_amounts_in_minor_units_of_iso_4217(double: AdyenDouble) -> None:
    async with connected(double.books.url) as adyen:
        for key, amount, currency in (("isk", 50, "ISK"), ("idr", 5000, "IDR")):
            request = charge_request(key, "spm_APPROVED_shopper-1", amount=amount, currency=currency, return_url=None)
            assert isinstance(await adyen.charge(request), Succeeded)
    charged = double.books.ledger.charged()
    assert (charged["chk_isk"], charged["chk_idr"]) == ([50], [5000])


async def test_webhooks_are_sent_to_the_account_and_believed_by_the_connector() -> None:
    async with raw_server(OK) as receiver:
        with adyen_double(target=WebhookTarget(f"{receiver.url}/hook", HMAC_KEY)) as double:
            async with connected(double.books.url) as adyen:
                request = charge_request("hook", HOSTED_PAGE, now=double.books.clock(), capture=False)
                opened = await adyen.open(request)
                assert isinstance(opened, RequiresAction)
                await visit(page_of(opened.action), act="pay", method="approved")
                await receiver.wait_for_requests(1)
                (sent,) = receiver.requests
                head, _, body = sent.partition(b"\r\n\r\n")
                assert head.startswith(b"POST /hook HTTP/1.1\r\n")
                (notice,) = await adyen.read_webhook({}, body) or ()
    assert notice.key == "hook"


def test_what_happens_on_a_page_belongs_to_its_account_whoever_calls_meanwhile() -> None:
    with adyen_double() as double:
        double.accounts["AQE_another_account"] = None
        link = post(double, "paymentLinks", LINK | {"reference": "att_2.link-charge"}).json()

        def slow_form() -> Iterator[bytes]:
            yield b"act=pay&"
            assert post(double, "payments", PAYMENT, api_key="AQE_another_account").status_code == 200
            yield b"method=approved"

        httpx.post(link["url"], content=slow_form())
        accounts = {one.operation_key: one.account for one in double.books.ledger}
    assert accounts == {"att_2": API_KEY, "att_1": "AQE_another_account"}


async def test_webhooks_go_on_after_the_api_key_was_revoked() -> None:
    async with raw_server(OK) as receiver:
        with adyen_double(target=WebhookTarget(f"{receiver.url}/hook", HMAC_KEY)) as double:
            async with connected(double.books.url) as adyen:
                opened = await adyen.open(charge_request("revoked", HOSTED_PAGE, now=double.books.clock()))
                assert isinstance(opened, RequiresAction)
                double.accounts.clear()
                assert (await adyen.check()) != []
                await visit(page_of(opened.action), act="pay", method="approved")
                await receiver.wait_for_requests(1)


def test_a_webhook_that_must_arrive_is_late_where_the_plan_would_lose_it() -> None:
    source = FaultSource(FaultPlan(rate=1.0, seed=3))
    keys = [f"att_{number}" for number in range(60)]
    faults = {
        must_arrive: [
            source.of_webhook(Event(account="", body=b"", fault_key=key, must_arrive=must_arrive)).webhook_fault
            for key in keys
        ]
        for must_arrive in (False, True)
    }
    lost = [number for number, fault in enumerate(faults[False]) if fault is WebhookFault.NEVER]
    assert lost
    assert {faults[True][number] for number in lost} == {WebhookFault.LATE}
    assert WebhookFault.NEVER not in faults[True]
    assert source.counts["webhook_never"] == len(lost)


async def test_no_webhook_of_the_double_is_lost_for_good() -> None:
    plan = FaultPlan(rate=1.0, seed=3)
    faults = {key: plan.for_webhook(f"{key}.link-charge/AUTHORISATION") for key in map(str, range(60))}
    key = next(key for key, draw in faults.items() if draw.webhook_fault is WebhookFault.NEVER)
    async with raw_server(OK) as receiver:
        with adyen_double(plan=plan, target=WebhookTarget(f"{receiver.url}/hook", HMAC_KEY)) as double:
            async with connected(double.books.url, timeout_seconds=0.2) as adyen:
                request = charge_request(key, HOSTED_PAGE, now=double.books.clock())
                while not isinstance(opened := await adyen.open(request), RequiresAction):
                    pass
                await visit(page_of(opened.action), act="pay", method="approved")
                assert (double.faults["webhook_late"], double.faults["webhook_never"]) == (1, 0)
                await receiver.wait_for_requests(1)


async def test_with_faults_by_rate_and_seed_every_payment_ends_once_when_its_key_is_sent_again() -> None:
    with adyen_double(plan=FaultPlan(rate=0.7, seed=5)) as double:
        async with connected(double.books.url, timeout_seconds=0.2) as adyen:
            for number in range(12):
                request = charge_request(f"seeded-{number}", "spm_APPROVED_shopper-1", return_url=None)
                while not isinstance(await adyen.charge(request), Succeeded):
                    pass
        assert sum(double.faults[fault.name.lower()] for fault in Fault) > 5
        charged = double.books.ledger.charged()
        assert charged == {f"chk_seeded-{number}": [1000] for number in range(12)}


def test_the_command_serves_the_double_on_loopback() -> None:
    port = free_port()
    command = [sys.executable, "-m", "paidonce.proving.doubles.adyen", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert f"http://127.0.0.1:{port}" in line
        assert API_KEY in line
    finally:
        process.terminate()
        process.communicate(timeout=60)
