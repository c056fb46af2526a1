"""The double of Stripe: its strictness, its idempotency keys, its faults, and its webhooks."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

import httpx
import msgspec
import pytest

from paidonce.clock import system_clock
from paidonce.providers.base import Provider
from paidonce.providers.evidence import Declined, Evidence, Opened, RequiresAction, Succeeded
from paidonce.providers.simulator.faults import Fault, FaultPlan
from paidonce.proving.doubles.calls import ApiFailure, PreparedCall, Reply
from paidonce.proving.doubles.idempotency import IdempotencyKeys
from paidonce.proving.doubles.stripe.books import Books
from paidonce.proving.doubles.stripe.server import SECRET_KEY, StripeApi, StripeDouble
from paidonce.proving.doubles.webhooks import WebhookTarget
from paidonce.proving.processes import free_port
from tests.support.doubles import SettableClock, charge_request, modification, page_of, visit
from tests.support.raw_server import OK, Part, answer, raw_server
from tests.support.stripe import WEBHOOK_SECRET, connected, stripe_double

DAY_MS: Final = 24 * 60 * 60 * 1000
PAYMENTS: Final = 12
INTENT: Final = {"amount": "1000", "currency": "usd", "payment_method": "pm_card_visa"}
CONFIRM: Final = r"POST /v1/payment_intents/\w+/confirm"


@pytest.fixture(scope="module")
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture(scope="module")
def double(clock: SettableClock) -> Iterator[StripeDouble]:
    with stripe_double(clock=clock) as one:
        yield one


def post(double: StripeDouble, path: str, key: str = "", **fields: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {SECRET_KEY}"} | ({"Idempotency-Key": key} if key else {})
    return httpx.post(f"{double.books.url}/v1/{path}", data=fields, headers=headers)


def intent_of(double: StripeDouble, method: str = "pm_card_visa") -> str:
    return str(post(double, "payment_intents", **(INTENT | {"payment_method": method})).json()["id"])


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        (INTENT | {"colour": "red"}, "colour", "parameter_unknown"),
        ({"amount": "1000"}, "currency", "parameter_missing"),
        (INTENT | {"amount": ""}, "amount", "parameter_missing"),
        (INTENT | {"amount": "10.5"}, "amount", "parameter_invalid_integer"),
        (INTENT | {"amount": "49"}, "amount", "amount_too_small"),
        (INTENT | {"amount": "1000000000000"}, "amount", "amount_too_large"),
        (INTENT | {"currency": "xyz"}, "currency", None),
        (INTENT | {"currency": "isk"} | {"amount": "1050"}, "amount", "invalid_amount"),
        (INTENT | {"capture_method": "later"}, "capture_method", None),
        (INTENT | {"metadata": "key"}, "metadata", None),
        (INTENT | {"metadata[key]": "v" * 501}, "metadata", None),
        (INTENT | {"expand[1]": "payment_method"}, "expand", None),
        (INTENT | {"payment_method": "pm_of_nobody"}, "payment_method", "resource_missing"),
    ],
)
def test_what_stripe_refuses_is_refused(
    double: StripeDouble, fields: dict[str, str], param: str, code: str | None
) -> None:
    refused = post(double, "payment_intents", **fields)
    error = refused.json()["error"]
    assert (refused.status_code, error["type"]) == (400, "invalid_request_error")
    assert (error["param"], error.get("code")) == (param, code)


def test_nested_parameters_are_named_with_their_place(double: StripeDouble) -> None:
    line = {"line_items[0][quantity]": "1", "line_items[0][price_data][currency]": "usd"}
    refused = post(double, "checkout/sessions", mode="payment", success_url="https://shop.example/", **line)
    assert refused.json()["error"]["param"] == "line_items[0][price_data][unit_amount]"


def test_a_stored_response_is_replayed_for_24_hours_also_an_error(double: StripeDouble, clock: SettableClock) -> None:
    declined = intent_of(double, "pm_card_chargeDeclined")
    first = post(double, f"payment_intents/{declined}/confirm", "k-402")
    again = post(double, f"payment_intents/{declined}/confirm", "k-402")
    assert (first.status_code, again.status_code, again.json()) == (402, 402, first.json())
    assert ("Idempotent-Replayed" in first.headers, again.headers["Idempotent-Replayed"]) == (False, "true")
    double.next_faults.append((CONFIRM, Fault.ERROR_AFTER))
    paid = intent_of(double)
    answers = [post(double, f"payment_intents/{paid}/confirm", "k-500") for _ in range(2)]
    assert [one.status_code for one in answers] == [500, 500]
    assert double.books.intents[paid]["status"] == "succeeded", "a stored 500 never changes, and the payment was made"
    clock.now += DAY_MS
    forgotten = post(double, f"payment_intents/{declined}/confirm", "k-402")
    assert (forgotten.status_code, "Idempotent-Replayed" in forgotten.headers) == (400, False)


def test_a_key_with_other_parameters_is_refused_and_invalid_parameters_are_not_stored(double: StripeDouble) -> None:
    assert post(double, "payment_intents", "k-1", amount="1000").status_code == 400
    made = post(double, "payment_intents", "k-1", **INTENT)
    other = post(double, "payment_intents", "k-1", **(INTENT | {"amount": "1001"}))
    assert (made.status_code, other.status_code, other.json()["error"]["type"]) == (200, 400, "idempotency_error")
    assert post(double, "payment_intents", "k-1", **INTENT).json()["id"] == made.json()["id"]


def test_a_key_in_use_is_a_conflict_until_its_request_has_ended(clock: SettableClock) -> None:
    api = StripeApi(Books(url="", clock=clock), {})
    keys = IdempotencyKeys(api, clock)
    call = PreparedCall(execute=lambda: Reply(200), key="k")
    assert keys.begin(call, "the same") is None
    with pytest.raises(ApiFailure) as refused:
        keys.begin(call, "the same")
    assert (refused.value.reply.status, refused.value.reply.body["error"]["code"]) == (409, "idempotency_key_in_use")
    keys.finish(call, None)
    assert keys.begin(call, "another") is None


def test_a_wrong_key_and_an_unknown_path_are_refused(double: StripeDouble) -> None:
    headers = {"Authorization": "Bearer sk_test_other0000"}
    assert httpx.get(f"{double.books.url}/v1/balance", headers=headers).status_code == 401
    assert post(double, "charges").status_code == 404
    assert post(double, "payment_intents/pi_unknown/confirm").status_code == 404


async def test_the_buyers_page_shows_the_price_and_goes_where_it_is_told(double: StripeDouble) -> None:
    async with connected(double.books.url, clock=double.books.clock) as stripe:
        action = await stripe.open(charge_request("page", now=double.books.clock(), expires_at=double.books.clock()))
    assert isinstance(action, RequiresAction)
    async with httpx.AsyncClient() as browser:
        assert "1000 USD" in (await browser.get(page_of(action.action))).text
        assert (await browser.get(f"{double.books.url}/pay/cs_test_unknown")).status_code == 404
    canceled = await visit(page_of(action.action), act="cancel")
    assert (canceled.status_code, canceled.headers["location"]) == (303, "https://shop.example/return/1")
    assert double.books.sessions[action.reference]["status"] == "open", "whoever went back may come again"


async def proof_of_charge(stripe: Provider, key: str, method: str) -> Evidence:
    """Pay as paidonce does: commit the session, ask before each call, and call again under another number."""
    request, found = charge_request(key, method), None
    while not isinstance(found, Opened):
        found = await stripe.open(request)
        request = msgspec.structs.replace(request, call_number=request.call_number + 1)
    request = msgspec.structs.replace(request, session_reference=found.reference)
    while True:
        evidence = await stripe.charge(request)
        if not isinstance(evidence, Succeeded | Declined):
            evidence = await stripe.look_up(request)
        if isinstance(evidence, Succeeded | Declined):
            return evidence
        request = msgspec.structs.replace(request, call_number=request.call_number + 1)


async def test_whatever_fails_each_payment_is_charged_at_most_once() -> None:
    plan = FaultPlan(rate=0.4, seed=7)
    with stripe_double(plan=plan) as double:
        async with connected(double.books.url, timeout_seconds=1.0) as stripe:
            methods = ["pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined"] * (PAYMENTS // 3)
            proofs = await asyncio.gather(
                *(proof_of_charge(stripe, f"storm-{number}", method) for number, method in enumerate(methods))
            )
            paid = {f"chk_storm-{number}" for number, proof in enumerate(proofs) if isinstance(proof, Succeeded)}
            assert double.books.ledger.charged() == {checkout: [1000] for checkout in paid}
            assert paid
            assert {type(proof) for proof in proofs[2::3]} == {Declined}
            assert sum(double.faults.values()) > PAYMENTS // 3


async def test_webhooks_are_signed_retried_and_tell_what_happened() -> None:
    async with raw_server(Part(answer(b"", "503 Busy")), OK) as receiver:
        target = WebhookTarget(f"{receiver.url}/webhooks?account=1", WEBHOOK_SECRET)
        with stripe_double(target=target) as double:
            async with connected(double.books.url) as stripe:
                await proof_of_charge(stripe, "told", "pm_card_visa")
                await receiver.wait_for_requests(2)
                told = [await read(stripe, request) for request in receiver.requests]
        assert receiver.requests[0].startswith(b"POST /webhooks?account=1 ")
    assert told[0] == told[1], "the event keeps its id and is signed anew"
    assert told[0][0] == "told"
    assert isinstance(told[0][1], Succeeded)


async def read(stripe: Provider, request: bytes) -> tuple[str | None, Any]:
    head, _, body = request.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    notices = await stripe.read_webhook(headers, body)
    assert notices is not None
    return notices[0].key, notices[0].evidence


async def test_tests_in_other_processes_read_the_books_set_faults_and_settle_refunds(double: StripeDouble) -> None:
    url = double.books.url
    async with connected(url, clock=double.books.clock) as stripe, httpx.AsyncClient(base_url=url) as control:
        faults = [{"call": CONFIRM, "fault": "error_before"}]
        await control.post("/double/faults", json=faults)
        paid = await proof_of_charge(stripe, "apart", "pm_card_pendingRefund")
        assert isinstance(paid, Succeeded)
        assert (await control.get("/double/faults")).json()["data"]["error_before"] == 1
        refund = await stripe.refund(modification("refund", "apart-refund", paid.reference, 100))
        reference = getattr(refund, "reference", "")
        await control.post(f"/double/refunds/{reference}/failed")
        failed = await stripe.look_up(modification("refund", "apart-refund", paid.reference, 100))
        assert isinstance(failed, Declined)
        assert (await control.get("/double/books")).json()["charged"]["chk_apart"] == [1000]


@pytest.fixture
def process_url() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "paidonce.proving.doubles.stripe", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert f"http://127.0.0.1:{port}" in process.stdout.readline()
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.communicate()


async def test_the_double_runs_as_a_process_of_its_own(process_url: str) -> None:
    async with connected(process_url) as stripe:
        while await stripe.check():  # It announces itself just before it listens.
            continue
        assert isinstance(await stripe.open(charge_request("own", now=system_clock())), RequiresAction)
        assert isinstance(await stripe.open(charge_request("own", "pm_card_visa")), Opened)
