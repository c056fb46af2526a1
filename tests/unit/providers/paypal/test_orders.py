"""A buyer who approves on PayPal's page, before the double: opened, charged, declined, left alone, closed."""

import asyncio

import msgspec
import pytest

from paidonce.money import Money
from paidonce.providers.base import Provider
from paidonce.providers.evidence import (
    Accepted,
    Authorized,
    Declined,
    NotDone,
    NotFound,
    Opened,
    RequiresAction,
    Succeeded,
    Unknown,
)
from paidonce.providers.simulator.faults import Fault
from paidonce.proving.doubles.paypal.server import PayPalDouble
from tests.support.doubles import RETURN_URL, SettableClock, charge_request, page_of, visit
from tests.support.paypal import approve, approved, opened

HOUR_MS = 60 * 60 * 1000


def charged(double: PayPalDouble, checkout_id: str) -> list[int]:
    return double.books.ledger.charged().get(checkout_id, [])


async def test_an_order_is_opened_with_our_ids_and_moves_no_money(paypal: Provider, double: PayPalDouble) -> None:
    request = await opened(paypal, "att_open", amount=1999)
    method, path, sent = double.requests[-1]
    assert (method, path, sent["intent"]) == ("POST", "/v2/checkout/orders", "CAPTURE")
    (unit,) = sent["purchase_units"]
    assert unit == {
        "reference_id": "chk_att_open",
        "custom_id": "att_open",
        "amount": {"currency_code": "USD", "value": "19.99"},
        "description": "Two tickets",
    }
    experience = sent["payment_source"]["paypal"]["experience_context"]
    assert (experience["return_url"], experience["cancel_url"]) == (RETURN_URL, RETURN_URL)
    assert (experience["user_action"], experience["shipping_preference"]) == ("PAY_NOW", "NO_SHIPPING")
    found = await paypal.look_up(request)
    assert isinstance(found, RequiresAction)
    assert page_of(found.action) == f"{double.books.url}/checkoutnow?token={request.session_reference}"
    assert charged(double, "chk_att_open") == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"method": "pm_card_visa"}, "payment_method_not_supported"),
        ({"currency": "ISK"}, "currency_not_supported"),
        ({"currency": "HUF", "amount": 1050}, "amount_not_supported"),
        ({"return_url": None}, "provider_refused"),
    ],
)
async def test_what_paypal_cannot_take_is_refused_before_anything_is_sent(
    paypal: Provider, double: PayPalDouble, fields: dict[str, str], code: str
) -> None:
    found = await paypal.open(charge_request("att_refused", **fields))  # type: ignore[arg-type]
    assert isinstance(found, NotDone)
    assert (found.code, found.retryable) == (code, False)
    assert double.requests == []


async def test_a_forint_has_no_decimals_at_paypal_and_is_charged_in_ours(
    paypal: Provider, double: PayPalDouble
) -> None:
    request = await approved(paypal, "att_huf", currency="HUF", amount=150_000)
    proof = await paypal.charge(request)
    assert isinstance(proof, Succeeded)
    assert (proof.amount, proof.currency) == (150_000, "HUF")
    assert charged(double, "chk_att_huf") == [150_000]


async def test_a_long_description_is_cut_and_an_empty_one_is_left_out(paypal: Provider, double: PayPalDouble) -> None:
    await opened(paypal, "att_long", description="x" * 500)
    assert double.requests[-1][2]["purchase_units"][0]["description"] == "x" * 127
    await opened(paypal, "att_empty", description=" ")
    assert "description" not in double.requests[-1][2]["purchase_units"][0]


async def test_the_approval_of_a_buyer_moves_no_money_and_our_charge_does(
    paypal: Provider, double: PayPalDouble
) -> None:
    request = await opened(paypal, "att_pay")
    answer = await approve(paypal, request)
    assert answer.headers["location"] == f"{RETURN_URL}?token={request.session_reference}&PayerID=BUYER"
    assert await paypal.look_up(request) == Opened(request.session_reference or "")
    assert charged(double, "chk_att_pay") == []
    proof = await paypal.charge(request)
    assert isinstance(proof, Succeeded)
    assert (proof.amount, proof.currency, proof.kind) == (1000, "USD", "charge")
    assert proof.reference in double.books.objects["capture"]
    assert await paypal.look_up(request) == proof
    assert charged(double, "chk_att_pay") == [1000]


async def test_an_authorization_is_told_with_the_time_when_it_lapses(paypal: Provider, double: PayPalDouble) -> None:
    request = await approved(paypal, "att_hold", capture=False)
    proof = await paypal.charge(request)
    assert isinstance(proof, Authorized)
    assert (proof.amount, proof.currency, proof.kind) == (1000, "USD", "charge")
    assert proof.capture_before == double.books.clock() + 29 * 24 * HOUR_MS
    assert await paypal.look_up(request) == proof
    assert double.books.ledger.charged_or_held()["chk_att_hold"] == [1000]
    assert charged(double, "chk_att_hold") == []


async def test_a_buyer_who_goes_back_may_come_again(paypal: Provider) -> None:
    request = await opened(paypal, "att_back")
    found = await paypal.look_up(request)
    assert isinstance(found, RequiresAction)
    answer = await visit(page_of(found.action), act="cancel")
    assert answer.headers["location"] == f"{RETURN_URL}?token={request.session_reference}"
    assert await paypal.look_up(request) == found
    await approve(paypal, request)
    assert isinstance(await paypal.charge(request), Succeeded)


@pytest.mark.parametrize(
    ("funding", "code", "raw_code"),
    [
        ("instrument_declined", "do_not_honor", "INSTRUMENT_DECLINED"),
        ("transaction_refused", "suspected_fraud", "TRANSACTION_REFUSED"),
        ("card_expired", "expired_card", "CARD_EXPIRED"),
    ],
)
@pytest.mark.parametrize("capture", [True, False])
async def test_a_decline_is_final_and_a_look_up_tells_the_same(
    paypal: Provider, double: PayPalDouble, funding: str, code: str, raw_code: str, *, capture: bool
) -> None:
    request = await approved(paypal, f"att_{funding}_{capture}", funding, capture=capture)
    proof = await paypal.charge(request)
    assert proof == Declined(code, request.session_reference, "charge", raw_code)
    assert await paypal.look_up(request) == proof
    double.books.funding[request.session_reference or ""] = "balance"  # The buyer would have money now.
    assert await paypal.charge(msgspec.structs.replace(request, call_number=2)) == proof
    assert charged(double, request.checkout_id) == []


async def test_a_payment_that_paypal_wants_to_be_approved_again_waits_for_the_buyer(
    paypal: Provider, double: PayPalDouble
) -> None:
    request = await approved(paypal, "att_again", "asks_again")
    assert isinstance(await paypal.charge(request), RequiresAction)
    await approve(paypal, request)
    assert isinstance(await paypal.charge(msgspec.structs.replace(request, call_number=2)), Succeeded)
    assert charged(double, "chk_att_again") == [1000]


@pytest.mark.parametrize(("funding", "outcome"), [("pending", Succeeded), ("pending_then_declined", Declined)])
async def test_a_pending_payment_is_accepted_and_decided_later(
    paypal: Provider, double: PayPalDouble, funding: str, outcome: type
) -> None:
    request = await approved(paypal, f"att_{funding}", funding)
    assert isinstance(await paypal.charge(request), Accepted)
    found = [await paypal.look_up(request) for _ in range(4)]
    assert isinstance(found[0], Accepted)
    assert isinstance(found[-1], outcome)
    assert charged(double, request.checkout_id) == ([1000] if outcome is Succeeded else [])


async def test_a_pending_authorization_is_accepted(paypal: Provider) -> None:
    request = await approved(paypal, "att_review", "pending", capture=False)
    assert isinstance(await paypal.charge(request), Accepted)


@pytest.mark.parametrize("fault", [Fault.DROPPED_AFTER, Fault.ERROR_AFTER])
async def test_a_charge_whose_answer_is_lost_is_found_and_never_made_twice(
    paypal: Provider, double: PayPalDouble, fault: Fault
) -> None:
    request = await approved(paypal, f"att_{fault.name}")
    double.next_faults.append(("POST .*/capture", fault))
    assert isinstance(await paypal.charge(request), Unknown)
    proof = await paypal.look_up(request)
    assert isinstance(proof, Succeeded)
    again = [await paypal.charge(msgspec.structs.replace(request, call_number=number)) for number in (1, 2, 3)]
    assert again == [proof] * 3
    assert charged(double, request.checkout_id) == [1000]


async def test_a_charge_that_paypal_did_not_make_is_made_with_the_next_call(
    paypal: Provider, double: PayPalDouble
) -> None:
    request = await approved(paypal, "att_next")
    double.next_faults.append(("POST .*/capture", Fault.ERROR_BEFORE))
    assert isinstance(await paypal.charge(request), Unknown)
    assert isinstance(await paypal.look_up(request), Opened)
    assert isinstance(await paypal.charge(msgspec.structs.replace(request, call_number=2)), Succeeded)
    assert charged(double, "chk_att_next") == [1000]


async def test_a_closed_order_refuses_a_charge_that_was_on_its_way(paypal: Provider, double: PayPalDouble) -> None:
    request = await approved(paypal, "att_closed")
    assert await paypal.close(request) == Declined(
        "session_expired", request.session_reference, "charge", "ORDER_CLOSED"
    )
    assert double.requests[-2][:2] == ("PATCH", f"/v2/checkout/orders/{request.session_reference}")
    late = await paypal.charge(msgspec.structs.replace(request, call_number=7))
    assert isinstance(late, Declined)
    assert double.requests[-2][1].endswith("/capture"), "it was sent, and PayPal refused it"
    assert charged(double, "chk_att_closed") == []


async def test_a_closed_authorization_is_not_captured_either(paypal: Provider, double: PayPalDouble) -> None:
    request = await approved(paypal, "att_closed_hold", capture=False)
    assert isinstance(await paypal.close(request), Declined)
    assert isinstance(await paypal.charge(request), Declined)
    assert double.books.ledger.charged_or_held().get("chk_att_closed_hold") is None


@pytest.mark.parametrize("capture", [True, False])
async def test_to_close_a_charged_order_tells_of_the_charge(paypal: Provider, *, capture: bool) -> None:
    request = await approved(paypal, f"att_paid_{capture}", capture=capture)
    proof = await paypal.charge(request)
    assert await paypal.close(request) == proof
    assert await paypal.look_up(request) == proof


async def test_to_close_and_to_charge_at_once_have_one_outcome(paypal: Provider, double: PayPalDouble) -> None:
    for number in range(10):
        request = await approved(paypal, f"att_race_{number}")
        calls = [paypal.close(request), paypal.charge(request)]
        answers = await asyncio.gather(*(calls if number % 2 else reversed(calls)))
        proof = await paypal.look_up(request)
        assert answers == [proof] * 2
        assert charged(double, request.checkout_id) == ([1000] if isinstance(proof, Succeeded) else [])


@pytest.mark.parametrize("fault", [Fault.DROPPED_AFTER, Fault.ERROR_AFTER])
async def test_a_close_whose_answer_is_lost_is_seen_in_the_order(
    paypal: Provider, double: PayPalDouble, fault: Fault
) -> None:
    request = await approved(paypal, f"att_close_{fault.name}")
    double.next_faults.append(("PATCH .*", fault))
    assert isinstance(await paypal.close(request), Declined)


async def test_a_close_that_did_not_reach_paypal_is_unknown_and_may_be_repeated(
    paypal: Provider, double: PayPalDouble
) -> None:
    request = await approved(paypal, "att_close_lost")
    double.next_faults.append(("PATCH .*", Fault.DROPPED_BEFORE))
    assert isinstance(await paypal.close(request), Unknown)
    assert isinstance(await paypal.look_up(request), Opened)
    assert isinstance(await paypal.close(request), Declined)


async def test_an_order_that_nobody_approved_is_closed_though_paypal_refuses_to_change_it(
    paypal: Provider, double: PayPalDouble
) -> None:
    double.books.patchable = frozenset({"APPROVED"})
    request = await opened(paypal, "att_unpatchable")
    assert isinstance(await paypal.close(request), Declined)


async def test_an_approved_order_that_cannot_be_changed_is_never_told_as_closed(
    paypal: Provider, double: PayPalDouble
) -> None:
    request = await approved(paypal, "att_stuck")
    double.books.patchable = frozenset()
    assert isinstance(await paypal.close(request), Unknown)
    assert isinstance(await paypal.charge(request), Succeeded)


async def test_an_order_that_paypal_has_forgotten_takes_no_money_any_more(
    paypal: Provider, clock: SettableClock
) -> None:
    request = await opened(paypal, "att_forgotten")
    clock.now += 7 * HOUR_MS
    proof = await paypal.look_up(request)
    assert proof == Declined("session_expired", request.session_reference, "charge", "RESOURCE_NOT_FOUND")
    assert await paypal.close(request) == proof
    assert await paypal.charge(request) == proof


async def test_an_order_that_is_not_found_soon_after_it_was_opened_proves_nothing(paypal: Provider) -> None:
    request = charge_request("att_nowhere", session_reference="O9999999999999999")
    assert await paypal.look_up(request) == NotFound()
    assert await paypal.charge(request) == NotFound()
    assert await paypal.close(request) == NotFound()


async def test_an_order_of_another_attempt_is_not_taken_for_ours(paypal: Provider, double: PayPalDouble) -> None:
    request = await approved(paypal, "att_mine")
    other = msgspec.structs.replace(request, key="att_other")
    assert isinstance(await paypal.look_up(other), Unknown)
    assert isinstance(await paypal.charge(other), Unknown)
    assert isinstance(await paypal.charge(request), Succeeded)
    assert charged(double, "chk_att_mine") == [1000]


async def test_another_amount_than_was_asked_for_is_told_as_it_is(paypal: Provider, double: PayPalDouble) -> None:
    request = await approved(paypal, "att_amount")
    double.books.objects["order"][request.session_reference or ""]["purchase_units"][0]["amount"]["value"] = "9.99"
    proof = await paypal.charge(msgspec.structs.replace(request, money=Money(1000, "USD")))
    assert isinstance(proof, Succeeded)
    assert proof.amount == 999


async def test_without_an_order_nothing_is_sent(paypal: Provider, double: PayPalDouble) -> None:
    request = charge_request("att_none")
    assert [type(await paypal.charge(request)), type(await paypal.close(request))] == [NotDone] * 2
    assert await paypal.look_up(request) == NotFound()
    assert double.requests == []
