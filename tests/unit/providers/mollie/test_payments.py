"""Payments, from their opening to their end: what the buyer, Mollie's clock and our calls make of them."""

import asyncio
import json

import msgspec
import pytest

from paidonce.providers.base import HOSTED_PAGE, ChargeRequest, Provider
from paidonce.providers.evidence import Accepted, Authorized, Declined, Redirect, RequiresAction, Succeeded, Unknown
from paidonce.providers.simulator.faults import Fault
from paidonce.proving.doubles.mollie.server import MollieDouble
from tests.support.doubles import RETURN_URL, SettableClock, charge_request, visit
from tests.support.mollie import PAYMENT, WEBHOOK_URL, connected
from tests.support.raw_server import Part, answer, raw_server

OPENING = r"POST /v2/payments"
MINUTE_MS = 60_000


async def opened(mollie: Provider, request: ChargeRequest) -> tuple[ChargeRequest, Redirect]:
    found = await mollie.open(request)
    assert isinstance(found, RequiresAction)
    assert isinstance(found.action, Redirect)
    return msgspec.structs.replace(request, session_reference=found.reference), found.action


async def paid(mollie: Provider, key: str, method: str = HOSTED_PAGE, **form: str) -> ChargeRequest:
    request, action = await opened(mollie, charge_request(key, method))
    await visit(action.url, **({"act": "pay"} | form))
    return request


async def test_a_payment_says_to_mollie_what_it_is_for_and_whose_it_is(double: MollieDouble) -> None:
    async with connected(double.books.url) as mollie:
        await mollie.open(charge_request("says", amount=1234, currency="EUR"))
        await mollie.open(charge_request("named", "ideal"))
        await mollie.open(charge_request("held", capture=False, description=None))
    says, named, held = [params for _, _, params in double.requests]
    assert says == {
        "amount": {"currency": "EUR", "value": "12.34"},
        "description": "Two tickets",
        "redirectUrl": RETURN_URL,
        "webhookUrl": WEBHOOK_URL,
        "captureMode": "automatic",
        "metadata": {"paidonce_key": "says", "paidonce_checkout": "chk_says", "paidonce_merchant": "m1"},
    }
    assert named["method"] == "ideal"
    assert (held["method"], held["captureMode"], held["description"]) == ("creditcard", "manual", "Payment")


async def test_a_description_is_as_long_as_mollie_takes_it(mollie: Provider, double: MollieDouble) -> None:
    await mollie.open(charge_request("long", description="x" * 300))
    ((_, _, params),) = double.requests
    assert params["description"] == "x" * 255


async def test_the_buyer_is_sent_to_mollies_page_for_as_long_as_mollie_says(
    mollie: Provider, double: MollieDouble, clock: SettableClock
) -> None:
    _, action = await opened(mollie, charge_request("page"))
    assert action.url.startswith(f"{double.books.url}/pay/tr_")
    assert action.expires_at == clock.now + 15 * MINUTE_MS


@pytest.mark.parametrize("url", ["http://127.0.0.1:3000/", "http://localhost/", "http://[::1]/", "http://10.1.2.3/"])
@pytest.mark.parametrize("other", ["http://shop/", "http://shop.local/", "http://service.test/", ""])
async def test_mollie_is_given_no_address_for_webhooks_that_it_cannot_reach(url: str, other: str) -> None:
    for one in (url, other):
        async with connected("", webhook_url=one, webhook_secret="") as mollie:
            assert not mollie.capabilities.webhooks
    async with connected("", webhook_url="https://pay.example.com/providers/mollie/pac_1/webhooks") as mollie:
        assert mollie.capabilities.webhooks


@pytest.mark.parametrize("fault", [Fault.DROPPED_AFTER, Fault.ERROR_AFTER])
async def test_an_opening_whose_answer_is_lost_opens_the_same_payment_when_it_is_sent_again(
    mollie: Provider, double: MollieDouble, fault: Fault
) -> None:
    request = charge_request(f"lost-{fault}")
    double.next_faults.append((OPENING, fault))
    assert isinstance(await mollie.open(request), Unknown)
    await opened(mollie, request)
    assert [one.payment["metadata"]["paidonce_key"] for one in double.books].count(request.key) == 1


async def test_a_payment_that_nobody_has_seen_is_opened_again_after_an_hour_and_one_is_paid(
    mollie: Provider, double: MollieDouble, clock: SettableClock
) -> None:
    request = charge_request("forgotten")
    double.next_faults.append((OPENING, Fault.DROPPED_AFTER))
    assert isinstance(await mollie.open(request), Unknown)
    clock.now += 60 * MINUTE_MS
    request, action = await opened(mollie, request)
    await visit(action.url, act="pay")
    assert isinstance(await mollie.look_up(request), Succeeded)
    assert [one.payment["metadata"]["paidonce_key"] for one in double.books].count(request.key) == 2
    assert double.books.ledger.charged()[request.checkout_id] == [1000]


async def test_another_call_number_opens_another_payment_and_the_same_one_does_not(mollie: Provider) -> None:
    first, _ = await opened(mollie, charge_request("keys", call_number=1))
    again, _ = await opened(mollie, charge_request("keys", call_number=1))
    second, _ = await opened(mollie, charge_request("keys", call_number=2))
    assert first.session_reference == again.session_reference != second.session_reference


async def test_a_failed_payment_is_declined_for_good(mollie: Provider) -> None:
    request = await paid(mollie, "failed", act="fail", reason="insufficient_funds")
    for found in (await mollie.look_up(request), await mollie.charge(request), await mollie.close(request)):
        assert found == Declined("insufficient_funds", request.session_reference, "charge", "insufficient_funds")


async def test_a_payment_that_nobody_pays_expires(mollie: Provider, clock: SettableClock) -> None:
    request, action = await opened(mollie, charge_request("expiring"))
    clock.now += 15 * MINUTE_MS
    await visit(action.url, act="pay")
    found = await mollie.look_up(request)
    assert found == Declined("session_expired", request.session_reference, "charge", "expired")


async def test_a_payment_at_the_bank_is_accepted_and_cannot_be_closed(mollie: Provider, double: MollieDouble) -> None:
    request = await paid(mollie, "bank", act="begin")
    reference = request.session_reference or ""
    assert await mollie.look_up(request) == Accepted(reference)
    assert await mollie.close(request) == Accepted(reference)
    await visit(f"{double.books.url}/double/payments/{reference}/paid")
    assert isinstance(await mollie.look_up(request), Succeeded)


async def test_a_payment_that_mollie_does_not_let_cancel_is_told_as_open_and_can_still_be_paid(
    mollie: Provider, double: MollieDouble
) -> None:
    request, action = await opened(mollie, charge_request("stubborn", "ideal"))
    double.requests.clear()
    for _ in range(2):
        assert await mollie.close(request) == RequiresAction(request.session_reference or "", action)
    assert {method for method, _, _ in double.requests} == {"GET"}
    await visit(action.url, act="pay")
    assert isinstance(await mollie.close(request), Succeeded)


async def test_a_payment_that_mollie_does_not_let_cancel_ends_when_it_expires(
    mollie: Provider, clock: SettableClock
) -> None:
    request, _ = await opened(mollie, charge_request("stubborn-expiring", "ideal"))
    clock.now += 15 * MINUTE_MS
    found = await mollie.close(request)
    assert isinstance(found, Declined)
    assert found.code == "session_expired"


async def test_a_payment_that_we_cancel_is_expired_and_not_canceled_by_the_buyer(mollie: Provider) -> None:
    request, _ = await opened(mollie, charge_request("closed"))
    closed = await mollie.close(request)
    assert closed == Declined("session_expired", request.session_reference, "charge", "canceled")


@pytest.mark.parametrize(("status", "kind"), [("paid", Succeeded), ("open", RequiresAction), ("expired", Declined)])
async def test_a_cancelation_that_mollie_refuses_is_told_as_what_became_of_the_payment(status: str, kind: type) -> None:
    payment = PAYMENT | {
        "status": "open",
        "isCancelable": True,
        "_links": {"checkout": {"href": "https://pay.example/"}},
    }
    refusal = {"status": 422, "title": "Unprocessable Entity", "detail": "It cannot be canceled.", "_links": {}}
    script = [
        Part(answer(json.dumps(payment).encode())),
        Part(answer(json.dumps(refusal).encode(), "422 Unprocessable Entity")),
        Part(answer(json.dumps(payment | {"status": status}).encode())),
    ]
    async with raw_server(*script) as server, connected(server.url) as mollie:
        found = await mollie.close(charge_request("att_1", session_reference="tr_1234"))
        assert [request.split(b" ")[0] for request in server.requests] == [b"GET", b"DELETE", b"GET"]
    assert isinstance(found, kind)


async def test_a_payment_that_is_paid_between_our_question_and_our_cancelation_is_told_as_paid(
    mollie: Provider, double: MollieDouble
) -> None:
    for number in range(8):
        request, action = await opened(mollie, charge_request(f"race-{number}"))
        closed, _ = await asyncio.gather(mollie.close(request), visit(action.url, act="pay"))
        charged = double.books.ledger.charged().get(request.checkout_id, [])
        assert charged == ([1000] if isinstance(closed, Succeeded) else [])
        assert isinstance(closed, Succeeded | Declined)


async def test_a_cancelation_whose_answer_is_lost_is_unknown_until_a_look_up_tells(
    mollie: Provider, double: MollieDouble
) -> None:
    request, _ = await opened(mollie, charge_request("lost-close"))
    double.next_faults.append((r"DELETE /v2/payments/.+", Fault.DROPPED_AFTER))
    assert isinstance(await mollie.close(request), Unknown)
    assert isinstance(await mollie.look_up(request), Declined)


async def test_an_authorized_payment_is_not_voided_by_closing_it(mollie: Provider, double: MollieDouble) -> None:
    request, action = await opened(mollie, charge_request("authorized", capture=False))
    await visit(action.url, act="pay")
    for found in (await mollie.close(request), await mollie.look_up(request)):
        assert isinstance(found, Authorized)
        assert (found.amount, found.currency, found.kind) == (1000, "USD", "charge")
        assert found.capture_before is not None
    assert [one.kind for one in double.books.ledger if one.checkout_id == request.checkout_id] == ["authorization"]


async def test_a_payment_that_mollie_authorizes_and_captures_by_itself_is_accepted_until_it_is_paid(
    mollie: Provider, double: MollieDouble
) -> None:
    request, _ = await opened(mollie, charge_request("by-itself"))
    payment = double.books.found(request.session_reference or "").payment
    payment.update(status="authorized")
    assert await mollie.look_up(request) == Accepted(payment["id"])
    payment.update(status="paid")
    assert isinstance(await mollie.look_up(request), Succeeded)


async def test_without_a_payment_there_is_nothing_to_charge_or_to_close(mollie: Provider, double: MollieDouble) -> None:
    request = charge_request("nothing")
    await mollie.charge(request)
    await mollie.close(request)
    await mollie.look_up(request)
    assert double.requests == []


async def test_a_payment_of_another_key_is_not_taken_for_ours(mollie: Provider) -> None:
    other, _ = await opened(mollie, charge_request("other"))
    request = charge_request("mine", session_reference=other.session_reference)
    assert isinstance(await mollie.look_up(request), Unknown)
    assert isinstance(await mollie.close(request), Unknown)
