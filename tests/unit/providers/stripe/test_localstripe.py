"""localstripe judges the connector: a stateful server of Stripe's API that others wrote.

It is good for PaymentIntents, and not for idempotency keys, Checkout Sessions or amounts received. It is under the
GPL, so that it only ever runs as a process of its own.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import files
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest

from paidonce.providers.base import ChargeRequest, Provider
from paidonce.providers.evidence import Authorized, Declined, Evidence, NotDone, Opened, Succeeded
from paidonce.proving.processes import free_port
from tests.support.doubles import charge_request, modification
from tests.support.raw_server import raw_server
from tests.support.stripe import WEBHOOK_SECRET, connected

PROGRAM: Final = (
    "import sys; from aiohttp import web; from localstripe.server import app, store; "
    "store.dump_to_disk = lambda: None; "  # It would write to one file for all who use the machine.
    "web.run_app(app, host='127.0.0.1', port=int(sys.argv[1]), print=None)"
)
SECRET_KEY: Final = "sk_test_12345678"
START_SECONDS_MAX: Final = 60.0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(port)], cwd=tmp_path_factory.mktemp("localstripe"))
    try:
        _wait_until_it_answers(url, process)
        yield url
    finally:
        process.terminate()
        process.wait()


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    ends_at = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < ends_at and process.poll() is None:
        try:
            httpx.get(f"{url}/v1/balance")
        except httpx.TransportError:
            continue
        return
    message = "localstripe could not be started, so that it did not judge the connector"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture
async def stripe(url: str) -> AsyncIterator[Provider]:
    async with connected(url, secret_key=SECRET_KEY) as provider:
        yield provider


def api(url: str, path: str, data: dict[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON
    answer = httpx.post(f"{url}/v1/{path}", data=data or {}, headers={"Authorization": f"Bearer {SECRET_KEY}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refunded(url: str, reference: str) -> list[int]:
    """List the amounts of the refunds that localstripe has booked."""
    query, headers = {"payment_intent": reference}, {"Authorization": f"Bearer {SECRET_KEY}"}
    return [one["amount"] for one in httpx.get(f"{url}/v1/refunds", params=query, headers=headers).json()["data"]]


def send_webhooks_to(url: str, target: str) -> None:
    fields = {"url": target, "secret": WEBHOOK_SECRET, "events": ["payment_intent.succeeded"]}
    assert httpx.post(f"{url}/_config/webhooks/1", json=fields).status_code == 200


def payment_method(url: str, last_four: str) -> str:
    """Create a payment method with a card that localstripe knows; its numbers are found in its source."""
    (source,) = [one for one in files("localstripe") or () if one.name == "resources.py"]
    found = re.search(rf"[0-9]{{12}}{last_four}", Path(str(source.locate())).read_text())
    assert found is not None
    card = {"number": found[0], "exp_month": "12", "exp_year": "2040", "cvc": "123"}
    created = api(url, "payment_methods", {"type": "card"} | {f"card[{name}]": value for name, value in card.items()})
    return str(created["id"])


def request_for(key: str, method: str = "pm_card_visa", *, capture: bool = True) -> ChargeRequest:
    return charge_request(key, method, capture=capture, return_url=None, description=None)


async def opened(stripe: Provider, request: ChargeRequest) -> ChargeRequest:
    found = await stripe.open(request)
    assert isinstance(found, Opened)
    return msgspec.structs.replace(request, session_reference=found.reference)


async def charged(stripe: Provider, key: str, *, capture: bool = True) -> tuple[str, Evidence]:
    request = await opened(stripe, request_for(key, capture=capture))
    evidence = await stripe.charge(request)
    assert await stripe.look_up(request) == evidence
    return request.session_reference or "", evidence


async def test_it_is_charged_by_a_confirmed_payment_intent(stripe: Provider) -> None:
    reference, evidence = await charged(stripe, "att_1")
    assert evidence == Succeeded(reference, None, "USD", "charge")


async def test_it_holds_an_amount_that_is_captured_in_part(stripe: Provider, url: str) -> None:
    reference, evidence = await charged(stripe, "att_2", capture=False)
    assert evidence == Authorized(reference, 1000, "USD", "charge")
    captured = Succeeded(reference, None, "USD", "capture")
    request = modification("capture", "att_3", reference, 400)
    assert [await stripe.capture(request), await stripe.look_up(request)] == [captured, captured]
    assert refunded(url, reference) == [600], "the rest is released"


async def test_it_voids_an_authorization(stripe: Provider) -> None:
    reference, _ = await charged(stripe, "att_4", capture=False)
    void = modification("void", "att_5", reference)
    assert [await stripe.void(void), await stripe.look_up(void)] == [Succeeded(reference, kind="void")] * 2


async def test_it_refunds_parts_and_lists_them_with_their_metadata(stripe: Provider) -> None:
    reference, _ = await charged(stripe, "att_6")
    requests = [modification("refund", f"att_7_{number}", reference, 300) for number in range(2)]
    refunded = [await stripe.refund(request) for request in requests]
    assert [type(one) for one in refunded] == [Succeeded, Succeeded]
    assert [await stripe.look_up(request) for request in requests] == refunded


async def test_it_declines_and_the_decline_is_found(stripe: Provider) -> None:
    request = await opened(stripe, request_for("att_8", "pm_card_chargeCustomerFail"))
    for declined in (await stripe.charge(request), await stripe.look_up(request)):
        assert isinstance(declined, Declined)
        assert declined.raw_code == "card_declined"


async def test_an_authentication_that_it_wants_can_be_given_elsewhere_and_is_found(stripe: Provider, url: str) -> None:
    request = await opened(stripe, request_for("att_9", payment_method(url, "3184")))
    intent = api(url, f"payment_intents/{request.session_reference}/confirm")
    assert intent["status"] == "requires_action"
    authentication = {"client_secret": intent["client_secret"], "success": "true"}
    api(url, f"payment_intents/{request.session_reference}/_authenticate", authentication)
    assert isinstance(await stripe.look_up(request), Succeeded)


async def test_an_authentication_that_fails_is_a_decline(stripe: Provider, url: str) -> None:
    request = await opened(stripe, request_for("att_10", payment_method(url, "3184")))
    intent = api(url, f"payment_intents/{request.session_reference}/confirm")
    authentication = {"client_secret": intent["client_secret"], "success": "false"}
    api(url, f"payment_intents/{request.session_reference}/_authenticate", authentication)
    declined = await stripe.look_up(request)
    assert isinstance(declined, Declined)
    assert declined.code == "authentication_failed"


async def test_a_payment_intent_that_is_canceled_takes_no_money(stripe: Provider) -> None:
    request = await opened(stripe, request_for("att_11"))
    reference = request.session_reference or ""
    assert await stripe.void(modification("void", "att_11_void", reference)) == Succeeded(reference, kind="void")
    found = (await stripe.look_up(request), await stripe.close(request), await stripe.charge(request))
    assert [type(one) for one in found] == [Declined, Declined, NotDone]


async def test_its_webhooks_are_signed_and_tell_the_outcome(stripe: Provider, url: str) -> None:
    async with raw_server() as receiver:
        send_webhooks_to(url, f"{receiver.url}/webhooks")
        reference, _ = await charged(stripe, "att_12")
        for number in count(1):
            await receiver.wait_for_requests(number)
            if b"att_12" in receiver.requests[number - 1]:
                break
        head, _, body = receiver.requests[-1].partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    notices = await stripe.read_webhook(headers, body)
    assert notices is not None
    assert (notices[0].key, notices[0].evidence) == ("att_12", Succeeded(reference, None, "USD", "charge"))
