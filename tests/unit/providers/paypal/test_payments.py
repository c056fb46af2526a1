"""Captures, voids and refunds, before the double."""

import asyncio

import msgspec
import pytest

from paidonce.providers.base import Modification, Provider
from paidonce.providers.evidence import Accepted, Authorized, Declined, NotDone, NotFound, Succeeded, Unknown
from paidonce.providers.simulator.faults import Fault
from paidonce.proving.doubles.paypal.server import PayPalDouble
from tests.support.doubles import SettableClock, modification
from tests.support.paypal import approved

DAY_MS = 24 * 60 * 60 * 1000


async def held(paypal: Provider, key: str, funding: str = "balance") -> str:
    proof = await paypal.charge(await approved(paypal, key, funding, capture=False))
    assert isinstance(proof, Authorized)
    return proof.reference


async def paid(paypal: Provider, key: str, funding: str = "balance") -> str:
    proof = await paypal.charge(await approved(paypal, key, funding))
    assert isinstance(proof, Succeeded)
    return proof.reference


def amounts(double: PayPalDouble, kind: str, checkout_id: str) -> list[int]:
    return [one.amount for one in double.books.ledger if (one.kind, one.checkout_id) == (kind, checkout_id)]


async def test_a_part_is_captured_once_and_the_rest_is_released(paypal: Provider, double: PayPalDouble) -> None:
    reference = await held(paypal, "att_part")
    request = modification("capture", "att_part_capture", reference, 700)
    proof = await paypal.capture(request)
    assert isinstance(proof, Succeeded)
    assert (proof.amount, proof.currency, proof.kind) == (700, "USD", "capture")
    sent = double.requests[-1][2]
    assert sent["final_capture"] is True
    assert sent["invoice_id"] == "att_part_capture"
    assert await paypal.look_up(request) == proof
    assert await paypal.capture(request) == proof
    second = await paypal.capture(modification("capture", "att_part_second", reference, 300))
    assert second == Declined("provider_refused", reference, "capture", "captured_already")
    assert amounts(double, "capture", "chk_att_part") == [700]


async def test_more_than_is_held_is_not_captured(paypal: Provider) -> None:
    found = await paypal.capture(modification("capture", "att_more", await held(paypal, "att_much"), 1001))
    assert isinstance(found, NotDone)
    assert (found.code, found.retryable) == ("amount_not_supported", False)


@pytest.mark.parametrize("fault", [Fault.DROPPED_AFTER, Fault.ERROR_AFTER])
@pytest.mark.parametrize("kind", ["capture", "void", "refund"])
async def test_an_operation_whose_answer_is_lost_is_found_and_never_made_twice(
    paypal: Provider, double: PayPalDouble, kind: str, fault: Fault
) -> None:
    key = f"att_{kind}_{fault.name}"
    reference = await (paid if kind == "refund" else held)(paypal, key)
    request = modification(kind, f"{key}_2", reference)  # type: ignore[arg-type]
    operation = getattr(paypal, kind)
    double.next_faults.append((f"POST .*/{kind}", fault))
    assert await paypal.look_up(request) == NotFound()
    assert isinstance(await operation(request), Unknown)
    proof = await paypal.look_up(request)
    assert isinstance(proof, Succeeded)
    assert [await operation(request), await operation(request)] == [proof] * 2
    booked = "release" if kind == "void" else kind
    assert amounts(double, booked, f"chk_{key}") == [1000]


async def test_a_released_authorization_is_not_captured_and_a_captured_one_is_not_released(paypal: Provider) -> None:
    released, captured = await held(paypal, "att_released"), await held(paypal, "att_captured")
    void = modification("void", "att_void", released)
    assert await paypal.void(void) == Succeeded(released, kind="void")
    assert await paypal.look_up(void) == Succeeded(released, kind="void")
    late = await paypal.capture(modification("capture", "att_late", released))
    assert late == Declined("provider_refused", released, "capture", "VOIDED")
    await paypal.capture(modification("capture", "att_first", captured))
    late = await paypal.void(modification("void", "att_late_void", captured))
    assert late == Declined("provider_refused", captured, "void", "CAPTURED")


async def test_an_expired_authorization_can_never_be_captured(paypal: Provider, clock: SettableClock) -> None:
    reference = await held(paypal, "att_expired")
    clock.now += 30 * DAY_MS
    found = await paypal.capture(modification("capture", "att_expired_2", reference))
    assert found == Declined("provider_refused", reference, "capture", "AUTHORIZATION_EXPIRED")


async def test_a_capture_may_be_pending_first(paypal: Provider, double: PayPalDouble) -> None:
    reference = await held(paypal, "att_slow", "capture_pending")
    request = modification("capture", "att_slow_2", reference)
    assert isinstance(await paypal.capture(request), Accepted)
    found = [await paypal.look_up(request) for _ in range(4)]
    assert [type(one) for one in (found[0], found[-1])] == [Accepted, Succeeded]
    assert amounts(double, "capture", "chk_att_slow") == [1000]


async def test_a_charge_and_a_captured_authorization_are_refunded_in_parts(
    paypal: Provider, double: PayPalDouble
) -> None:
    reference = await held(paypal, "att_refunded_hold")
    await paypal.capture(modification("capture", "att_refunded_capture", reference, 1000))
    for number, charge in enumerate((await paid(paypal, "att_refunded_charge"), reference)):
        request = modification("refund", f"att_refund_{number}", charge, 300)
        proof = await paypal.refund(request)
        assert isinstance(proof, Succeeded)
        assert (proof.amount, proof.currency, proof.kind) == (300, "USD", "refund")
        assert await paypal.look_up(request) == proof
        assert isinstance(await paypal.refund(modification("refund", f"att_rest_{number}", charge, 700)), Succeeded)
        excess = await paypal.refund(modification("refund", f"att_excess_{number}", charge, 1))
        assert isinstance(excess, NotDone)
        assert not excess.retryable
    for checkout_id in ("chk_att_refunded_charge", "chk_att_refunded_hold"):
        assert amounts(double, "refund", checkout_id) == [300, 700]


async def test_one_key_refunds_once_also_when_it_is_sent_at_once(paypal: Provider, double: PayPalDouble) -> None:
    request = modification("refund", "att_once_2", await paid(paypal, "att_once"), 100)
    answers = await asyncio.gather(*(paypal.refund(request) for _ in range(5)))
    assert answers == [answers[0]] * 5
    assert amounts(double, "refund", "chk_att_once") == [100]


async def test_a_refund_is_found_among_others_after_paypal_has_forgotten_its_key(
    paypal: Provider, clock: SettableClock
) -> None:
    reference = await paid(paypal, "att_many")
    requests = [modification("refund", f"att_many_{number}", reference, 10 + number) for number in range(4)]
    proofs = [await paypal.refund(one) for one in requests]
    clock.now += 46 * DAY_MS
    assert [await paypal.look_up(one) for one in requests] == proofs
    assert await paypal.look_up(modification("refund", "att_unknown", reference)) == NotFound()


async def test_a_refund_may_be_pending_first_and_fail(paypal: Provider, double: PayPalDouble) -> None:
    reference = await paid(paypal, "att_fails", "refund_pending_then_failed")
    request = modification("refund", "att_fails_2", reference)
    assert isinstance(await paypal.refund(request), Accepted)
    found = [await paypal.look_up(request) for _ in range(4)]
    assert [type(one) for one in (found[0], found[-1])] == [Accepted, Declined]
    assert amounts(double, "refund", "chk_att_fails") == []


async def test_a_refund_of_an_authorization_that_was_not_captured_is_refused(paypal: Provider) -> None:
    found = await paypal.refund(modification("refund", "att_uncaptured_2", await held(paypal, "att_uncaptured")))
    assert isinstance(found, NotDone)
    assert not found.retryable


async def test_a_charge_that_is_not_there_is_refused_and_not_found(paypal: Provider, double: PayPalDouble) -> None:
    for kind in ("capture", "void", "refund"):
        request: Modification = modification(kind, "att_nothing", "C9999999999999999")
        found = await getattr(paypal, kind)(request)
        assert isinstance(found, NotDone)
        assert not found.retryable
        assert await paypal.look_up(request) == NotFound()
    assert not [one for one in double.requests if one[1].endswith("/refund")]


async def test_where_the_captured_payment_cannot_be_looked_up_nothing_is_refunded(
    paypal: Provider, double: PayPalDouble
) -> None:
    request = modification("refund", "att_blind_2", await paid(paypal, "att_blind"))
    double.next_faults.append(("GET .*/captures/.*", Fault.ERROR_BEFORE))
    found = await paypal.refund(request)
    assert isinstance(found, NotDone)
    assert found.retryable
    assert isinstance(await paypal.refund(request), Succeeded)


async def test_an_amount_that_paypal_cannot_take_is_not_sent(paypal: Provider, double: PayPalDouble) -> None:
    for kind in ("capture", "refund"):
        request = modification(kind, "att_fine", "C0000000000000001", 1050, "HUF")
        found = await getattr(paypal, kind)(request)
        assert isinstance(found, NotDone)
        assert found.code == "amount_not_supported"
    assert double.requests == []


async def test_a_capture_in_the_dashboard_is_not_taken_for_ours(paypal: Provider, double: PayPalDouble) -> None:
    reference = await held(paypal, "att_dashboard")
    request = modification("capture", "att_dashboard_2", reference)
    await paypal.capture(msgspec.structs.replace(request, key="somebody_else"))
    assert await paypal.look_up(request) == Declined("provider_refused", reference, "capture", "captured_already")
    assert isinstance(await paypal.capture(request), Declined)
    assert amounts(double, "capture", "chk_att_dashboard") == [1000]
