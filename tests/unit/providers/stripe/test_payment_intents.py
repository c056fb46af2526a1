"""A charge with a payment method: opened, confirmed, authenticated, declined, closed; and what changes a charge."""

import asyncio
from typing import Literal

import httpx
import msgspec
import pytest

from paidonce.providers.base import EMBEDDED, ChargeRequest, Provider
from paidonce.providers.evidence import (
    Accepted,
    Authorized,
    ClientSecret,
    Declined,
    NotDone,
    NotFound,
    Opened,
    RequiresAction,
    Succeeded,
    Unknown,
)
from paidonce.providers.simulator.faults import Fault
from paidonce.proving.doubles.stripe.server import StripeDouble
from tests.support.doubles import RETURN_URL, charge_request, modification, page_of, visit
from tests.support.stripe import connected

CONFIRM = r"POST /v1/payment_intents/\w+/confirm"


async def opened(stripe: Provider, key: str, method: str = "pm_card_visa", *, capture: bool = True) -> ChargeRequest:
    request = charge_request(key, method, capture=capture)
    found = await stripe.open(request)
    assert isinstance(found, Opened)
    return msgspec.structs.replace(request, session_reference=found.reference)


async def charged(stripe: Provider, key: str, method: str = "pm_card_visa", *, capture: bool = True) -> str:
    evidence = await stripe.charge(await opened(stripe, key, method, capture=capture))
    assert isinstance(evidence, Succeeded | Authorized)
    return evidence.reference


async def test_opening_moves_no_money_and_charging_does_it_once(stripe: Provider, double: StripeDouble) -> None:
    request = await opened(stripe, "once")
    assert await stripe.look_up(request) == Opened(request.session_reference or "")
    assert "chk_once" not in double.books.ledger.charged()
    first = await stripe.charge(request)
    assert first == Succeeded(request.session_reference or "", 1000, "USD", "charge")
    assert await stripe.charge(request) == first
    assert await stripe.charge(msgspec.structs.replace(request, call_number=2)) == first
    assert double.books.ledger.charged()["chk_once"] == [1000]


@pytest.mark.parametrize(
    ("method", "code", "raw_code"),
    [
        ("pm_card_chargeDeclined", "declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_details", "incorrect_cvc"),
        ("pm_card_visa_chargeDeclinedStolenCard", "lost_or_stolen_card", "stolen_card"),
        ("pm_card_radarBlock", "suspected_fraud", "fraudulent"),
    ],
)
async def test_a_decline_has_our_code_and_stripes(stripe: Provider, method: str, code: str, raw_code: str) -> None:
    request = await opened(stripe, f"declined-{method}", method)
    declined = Declined(code, request.session_reference, "charge", raw_code)
    assert [await stripe.charge(request), await stripe.look_up(request)] == [declined, declined]


async def test_a_decline_of_what_was_confirmed_before_is_made_final(stripe: Provider, double: StripeDouble) -> None:
    request = await opened(stripe, "final", "pm_card_chargeDeclined")
    double.next_faults.append((CONFIRM, Fault.ERROR_BEFORE))
    assert isinstance(await stripe.charge(request), Unknown)
    again = msgspec.structs.replace(request, call_number=2)
    declined = await stripe.charge(again)
    assert isinstance(declined, Declined)
    assert declined.code == "declined"
    intent = double.books.intents[request.session_reference or ""]
    assert intent["status"] == "canceled", "the first confirmation may still be on its way"
    found = await stripe.look_up(again)
    assert isinstance(found, Declined)
    assert (found.code, found.raw_code) == ("declined", "generic_decline")


@pytest.mark.parametrize("act", ["approve", "refuse"])
async def test_a_card_that_wants_the_bank_sends_the_buyer_there(
    stripe: Provider, double: StripeDouble, act: str
) -> None:
    request = await opened(stripe, act, "pm_card_threeDSecure2Required")
    action = await stripe.charge(request)
    assert isinstance(action, RequiresAction)
    assert action.reference == request.session_reference
    assert await stripe.look_up(request) == action
    await visit(page_of(action.action), act=act)
    found = await stripe.look_up(request)
    if act == "approve":
        assert isinstance(found, Succeeded)
        assert double.books.ledger.charged()[f"chk_{act}"] == [1000]
    else:
        assert isinstance(found, Declined)
        assert (found.code, found.raw_code) == ("authentication_failed", "payment_intent_authentication_failure")


async def test_a_buyer_who_never_approves_leaves_nothing_open(stripe: Provider, double: StripeDouble) -> None:
    request = await opened(stripe, "left", "pm_card_threeDSecure2Required")
    action = await stripe.charge(request)
    assert isinstance(action, RequiresAction)
    closed = await stripe.close(request)
    assert isinstance(closed, Declined)
    assert (closed.code, closed.raw_code) == ("session_expired", "abandoned")
    assert (await visit(page_of(action.action), act="approve")).status_code == 410
    assert "chk_left" not in double.books.ledger.charged()


async def test_without_a_page_to_send_the_buyer_to_the_charge_is_declined_and_canceled(
    stripe: Provider, double: StripeDouble
) -> None:
    request = charge_request("no-page", "pm_card_threeDSecure2Required", return_url=None)
    found = await stripe.open(request)
    assert isinstance(found, Opened)
    declined = await stripe.charge(msgspec.structs.replace(request, session_reference=found.reference))
    assert isinstance(declined, Declined)
    assert declined.code == "authentication_failed"
    assert double.books.intents[found.reference]["status"] == "canceled"


async def test_closing_never_voids_what_was_authorized_meanwhile(stripe: Provider) -> None:
    request = await opened(stripe, "kept", capture=False)
    authorized = await stripe.charge(request)
    assert await stripe.close(request) == authorized
    assert isinstance(authorized, Authorized)


async def test_a_stored_500_is_replayed_and_another_call_number_gets_through(
    stripe: Provider, double: StripeDouble
) -> None:
    request = await opened(stripe, "stored")
    double.next_faults.append((CONFIRM, Fault.ERROR_AFTER))
    assert await stripe.charge(request) == Unknown("Stripe answered 500 api_error")
    assert await stripe.charge(request) == Unknown("Stripe answered 500 api_error", replayed=True)
    assert isinstance(await stripe.look_up(request), Succeeded)
    assert isinstance(await stripe.charge(msgspec.structs.replace(request, call_number=2)), Succeeded)
    assert double.books.ledger.charged()["chk_stored"] == [1000]


@pytest.mark.parametrize("fault", [Fault.TIMEOUT_AFTER, Fault.DROPPED_AFTER])
async def test_a_lost_answer_is_unknown_and_the_look_up_finds_the_charge(double: StripeDouble, fault: Fault) -> None:
    async with connected(double.books.url) as stripe, connected(double.books.url, timeout_seconds=2) as impatient:
        request = await opened(stripe, f"lost-{fault.name}")
        double.next_faults.append((CONFIRM, fault))
        assert isinstance(await impatient.charge(request), Unknown)
        assert isinstance(await stripe.look_up(request), Succeeded)
    assert double.books.ledger.charged()[f"chk_lost-{fault.name}"] == [1000]


async def test_an_unknown_payment_method_opens_nothing(stripe: Provider) -> None:
    refused = await stripe.open(charge_request("wrong", "pm_card_of_nobody"))
    assert isinstance(refused, NotDone)
    assert (refused.code, refused.retryable) == ("incorrect_details", False)


@pytest.mark.parametrize("amount", [1000, 400])
async def test_a_capture_takes_all_or_a_part_once(stripe: Provider, double: StripeDouble, amount: int) -> None:
    reference = await charged(stripe, f"capture-{amount}", capture=False)
    request = modification("capture", f"cap-{amount}", reference, amount)
    assert await stripe.look_up(request) == NotFound()
    captured = Succeeded(reference, amount, "USD", "capture")
    assert [await stripe.capture(request), await stripe.capture(request)] == [captured, captured]
    assert await stripe.look_up(request) == captured
    forgotten = msgspec.structs.replace(request, key=f"{request.key}-after-a-day")
    assert await stripe.capture(forgotten) == captured, "what is captured already is looked up"
    assert double.books.ledger.charged()[f"chk_capture-{amount}"] == [amount]


async def test_a_second_capture_of_another_amount_is_declined(stripe: Provider, double: StripeDouble) -> None:
    reference = await charged(stripe, "second-capture", capture=False)
    assert isinstance(await stripe.capture(modification("capture", "first-cap", reference, 700)), Succeeded)
    declined = await stripe.capture(modification("capture", "second-cap", reference, 300))
    assert declined == Declined("provider_refused", reference, "capture", "captured_already")
    assert double.books.ledger.charged()["chk_second-capture"] == [700]


async def test_an_authorization_stays_one_after_its_capture(stripe: Provider) -> None:
    request = await opened(stripe, "still", capture=False)
    authorized = await stripe.charge(request)
    assert isinstance(authorized, Authorized)
    await stripe.capture(modification("capture", "still-cap", authorized.reference, 400))
    assert await stripe.look_up(request) == authorized


async def test_more_than_is_authorized_is_not_captured(stripe: Provider) -> None:
    reference = await charged(stripe, "too-much", capture=False)
    refused = await stripe.capture(modification("capture", "too-much-cap", reference, 1001))
    assert isinstance(refused, NotDone)
    assert refused.code == "amount_not_supported"


@pytest.mark.parametrize(("kind", "call"), [("capture", "capture"), ("void", "cancel")])
async def test_a_stored_error_without_effect_does_not_prevent_the_next_call(
    stripe: Provider, double: StripeDouble, kind: Literal["capture", "void"], call: str
) -> None:
    reference = await charged(stripe, f"vain-{kind}", capture=False)
    request = modification(kind, f"vain-{kind}-mod", reference)
    double.next_faults.append((rf"POST /v1/payment_intents/\w+/{call}", Fault.ERROR_BEFORE))
    send = stripe.capture if kind == "capture" else stripe.void
    assert [type(await send(request)), type(await send(request))] == [Unknown, Unknown], "the error is stored"
    assert await stripe.look_up(request) == NotFound()
    again = msgspec.structs.replace(request, call_number=2)
    assert isinstance(await send(again), Succeeded)
    assert isinstance(await send(msgspec.structs.replace(request, call_number=3)), Succeeded)
    moved = [(one.kind, one.operation_key) for one in double.books.ledger if one.checkout_id == f"chk_vain-{kind}"]
    assert moved[1:] == [("capture" if kind == "capture" else "release", f"vain-{kind}-mod")]


async def test_a_void_releases_and_what_was_captured_cannot_be_voided(stripe: Provider, double: StripeDouble) -> None:
    reference = await charged(stripe, "voided", capture=False)
    void = modification("void", "void", reference)
    assert await stripe.look_up(void) == NotFound()
    assert await stripe.void(void) == Succeeded(reference, kind="void")
    assert await stripe.look_up(void) == Succeeded(reference, kind="void")
    captured = await stripe.capture(modification("capture", "void-cap", reference))
    assert isinstance(captured, Declined)
    assert "chk_voided" not in double.books.ledger.charged()
    paid = await charged(stripe, "paid")
    assert isinstance(await stripe.void(modification("void", "void-paid", paid)), Declined)


async def test_refunds_give_back_parts_until_nothing_is_left(stripe: Provider, double: StripeDouble) -> None:
    reference = await charged(stripe, "refunded")
    first = modification("refund", "ref-1", reference, 300)
    assert await stripe.look_up(first) == NotFound()
    refunded = await stripe.refund(first)
    assert isinstance(refunded, Succeeded)
    assert (refunded.amount, refunded.currency, refunded.kind) == (300, "USD", "refund")
    assert [await stripe.refund(first), await stripe.look_up(first)] == [refunded, refunded]
    assert isinstance(await stripe.refund(modification("refund", "ref-2", reference, 701)), NotDone)
    assert isinstance(await stripe.refund(modification("refund", "ref-3", reference, 700)), Succeeded)
    after_a_day = msgspec.structs.replace(modification("refund", "ref-4", reference, 1))
    assert isinstance(await stripe.refund(after_a_day), NotDone)
    assert [one.amount for one in double.books.ledger if one.kind == "refund"][-2:] == [300, 700]


async def test_a_refund_that_is_pending_is_accepted_and_may_fail_later(stripe: Provider, double: StripeDouble) -> None:
    reference = await charged(stripe, "pending", "pm_card_pendingRefund")
    request = modification("refund", "ref-pending", reference)
    accepted = await stripe.refund(request)
    assert isinstance(accepted, Accepted)
    assert await stripe.look_up(request) == accepted
    double.books.refunds[accepted.reference or ""].update(status="failed", failure_reason="lost_or_stolen_card")
    failed = await stripe.look_up(request)
    assert isinstance(failed, Declined)
    assert (failed.code, failed.raw_code, failed.kind) == ("lost_or_stolen_card", "lost_or_stolen_card", "refund")


async def test_a_refund_is_found_behind_the_first_page(stripe: Provider) -> None:
    reference = await charged(stripe, "many")
    requests = [modification("refund", f"many-{number}", reference, 1) for number in range(102)]
    for request in requests:
        assert isinstance(await stripe.refund(request), Succeeded)
    first = await stripe.look_up(requests[0])
    assert isinstance(first, Succeeded)
    assert await stripe.refund(requests[0]) == first
    assert await stripe.look_up(modification("refund", "many-never", reference, 1)) == NotFound()


async def test_a_refund_whose_answer_is_lost_is_found_by_its_key(stripe: Provider, double: StripeDouble) -> None:
    reference = await charged(stripe, "lost-refund")
    request = modification("refund", "lost-ref", reference, 100)
    double.next_faults.append(("POST /v1/refunds", Fault.DROPPED_AFTER))
    assert isinstance(await stripe.refund(request), Unknown)
    found = await stripe.look_up(request)
    assert isinstance(found, Succeeded)
    assert await stripe.refund(request) == found, "the key is remembered"


async def test_a_request_with_a_key_that_is_being_executed_is_unknown(double: StripeDouble) -> None:
    async with connected(double.books.url) as stripe, connected(double.books.url, timeout_seconds=1) as impatient:
        request = await opened(stripe, "at-once")
        double.next_faults.append((CONFIRM, Fault.SLOW))
        both = await asyncio.gather(stripe.charge(request), impatient.charge(request))
        assert {type(one) for one in both} <= {Succeeded, Unknown}
        assert isinstance(await stripe.look_up(request), Succeeded)
    assert double.books.ledger.charged()["chk_at-once"] == [1000]


async def embedded(stripe: Provider, key: str, *, capture: bool = True) -> tuple[ChargeRequest, ClientSecret]:
    """Open a payment in fields of Stripe's on the merchant's page."""
    request = charge_request(key, EMBEDDED, capture=capture)
    found = await stripe.open(request)
    assert isinstance(found, RequiresAction)
    assert isinstance(found.action, ClientSecret)
    return msgspec.structs.replace(request, session_reference=found.reference), found.action


async def confirm(double: StripeDouble, request: ChargeRequest, action: ClientSecret, method: str) -> httpx.Response:
    """Confirm as Stripe's script on the merchant's page does."""
    url = f"{double.books.url}/elements/{request.session_reference}"
    return await visit(url, client_secret=action.secret, method=method, return_url=action.return_url or "")


async def test_a_buyer_pays_in_embedded_fields_with_the_client_secret_and_we_never_charge(
    stripe: Provider, double: StripeDouble
) -> None:
    request, action = await embedded(stripe, "fields")
    assert action.return_url == RETURN_URL
    assert "payment_method" not in double.requests[-1][2]
    waiting = await stripe.charge(request)
    assert isinstance(waiting, RequiresAction)
    assert waiting.action == action
    assert double.books.ledger.charged().get("chk_fields") is None
    declined = await confirm(double, request, action, "pm_card_chargeDeclined")
    assert declined.status_code == 402
    assert await stripe.look_up(request) == waiting, "the buyer may try another card"
    assert (await confirm(double, request, action, "pm_card_visa")).status_code == 303
    assert isinstance(await stripe.look_up(request), Succeeded)
    assert double.books.ledger.charged()["chk_fields"] == [1000]


async def test_a_buyer_of_embedded_fields_authenticates_at_their_bank_and_the_amount_is_authorized(
    stripe: Provider, double: StripeDouble
) -> None:
    request, action = await embedded(stripe, "fields3ds", capture=False)
    bank = (await confirm(double, request, action, "pm_card_threeDSecure2Required")).headers["location"]
    assert isinstance(await stripe.look_up(request), RequiresAction)
    assert (await visit(bank, act="approve")).headers["location"].startswith(RETURN_URL)
    assert isinstance(await stripe.look_up(request), Authorized)


async def test_embedded_fields_that_are_closed_take_no_money(stripe: Provider, double: StripeDouble) -> None:
    request, action = await embedded(stripe, "fieldsclosed")
    assert isinstance(await stripe.close(request), Declined)
    assert (await confirm(double, request, action, "pm_card_visa")).status_code == 400
    assert isinstance(await stripe.look_up(request), Declined)
    assert "chk_fieldsclosed" not in double.books.ledger.charged()
