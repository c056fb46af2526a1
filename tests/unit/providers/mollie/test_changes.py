"""Captures, releases and refunds: what is accepted first, what is released, and what is found again."""

import json
from typing import Literal

import msgspec
import pytest

from paidonce.providers.base import Provider
from paidonce.providers.evidence import (
    Accepted,
    Authorized,
    Declined,
    NotDone,
    NotFound,
    RequiresAction,
    Succeeded,
    Unknown,
)
from paidonce.providers.simulator.faults import Fault
from paidonce.proving.doubles.mollie import payments
from paidonce.proving.doubles.mollie.server import MollieDouble
from tests.support.doubles import charge_request, modification, page_of, visit
from tests.support.mollie import CAPTURE, PAYMENT, connected
from tests.support.raw_server import Part, answer, raw_server

CAPTURES = r"POST /v2/payments/.+/captures"
REFUNDS = r"POST /v2/payments/.+/refunds"
RELEASES = r"POST /v2/payments/.+/release-authorization"


async def bought(mollie: Provider, key: str, *, capture: bool = True, settlement: str = "now") -> str:
    """Let a buyer pay, or authorize, 10.00; returns the reference."""
    request = charge_request(key, capture=capture)
    found = await mollie.open(request)
    assert isinstance(found, RequiresAction)
    await visit(page_of(found.action), act="pay", settlement=settlement)
    proof = await mollie.look_up(msgspec.structs.replace(request, session_reference=found.reference))
    assert isinstance(proof, Succeeded if capture else Authorized)
    return found.reference


def movements(double: MollieDouble, reference: str) -> list[tuple[str, int]]:
    return [(one.kind, one.amount) for one in double.books.ledger if one.payment_id == reference]


async def test_a_partial_capture_releases_the_rest(mollie: Provider, double: MollieDouble) -> None:
    held = await bought(mollie, "part", capture=False)
    proof = await mollie.capture(modification("capture", "part-c", held, 700))
    assert isinstance(proof, Succeeded)
    assert (proof.amount, proof.currency, proof.kind) == (700, "USD", "capture")
    assert movements(double, held) == [("authorization", 1000), ("capture", 700), ("release", 300)]


async def test_a_full_capture_releases_nothing(mollie: Provider, double: MollieDouble) -> None:
    held = await bought(mollie, "full", capture=False)
    assert isinstance(await mollie.capture(modification("capture", "full-c", held)), Succeeded)
    assert movements(double, held) == [("authorization", 1000), ("capture", 1000)]
    assert not any("release" in path for _, path, _ in double.requests)


@pytest.mark.parametrize("fault", [Fault.DROPPED_BEFORE, Fault.DROPPED_AFTER, Fault.ERROR_BEFORE])
async def test_a_release_of_the_rest_whose_answer_is_lost_is_sent_again_by_the_look_up(
    mollie: Provider, double: MollieDouble, fault: Fault
) -> None:
    held = await bought(mollie, f"rest-{fault}", capture=False)
    request = modification("capture", f"rest-{fault}-c", held, 700)
    double.next_faults.append((RELEASES, fault))
    assert isinstance(await mollie.capture(request), Accepted)
    assert isinstance(await mollie.look_up(request), Succeeded)
    assert movements(double, held) == [("authorization", 1000), ("capture", 700), ("release", 300)]


async def test_a_capture_is_proven_though_mollie_refuses_to_release_the_rest() -> None:
    refusal = {"status": 422, "title": "Unprocessable", "detail": "It cannot be released.", "_links": {}}
    script = [
        Part(answer(json.dumps(CAPTURE).encode(), "201 Created")),
        Part(answer(json.dumps(PAYMENT | {"status": "authorized", "captureMode": "manual"}).encode())),
        Part(answer(json.dumps(refusal).encode(), "422 Unprocessable")),
    ]
    async with raw_server(*script) as server, connected(server.url) as mollie:
        assert isinstance(await mollie.capture(modification("capture", "att_1", "tr_1234")), Succeeded)
        assert len(server.requests) == 3


async def test_a_pending_capture_is_accepted_and_found_by_our_key_until_it_succeeds(
    mollie: Provider, double: MollieDouble
) -> None:
    held = await bought(mollie, "pending", capture=False, settlement="open")
    request = modification("capture", "pending-c", held, 700)
    accepted = await mollie.capture(request)
    assert isinstance(accepted, Accepted)
    assert await mollie.look_up(request) == accepted
    assert movements(double, held) == [("authorization", 1000)]
    await visit(f"{double.books.url}/double/captures/{accepted.reference}/succeeded")
    assert isinstance(await mollie.look_up(request), Succeeded)
    assert movements(double, held) == [("authorization", 1000), ("capture", 700), ("release", 300)]


async def test_a_capture_that_fails_leaves_the_amount_authorized_for_another(
    mollie: Provider, double: MollieDouble
) -> None:
    held = await bought(mollie, "fails", capture=False, settlement="open")
    request = modification("capture", "fails-c", held)
    accepted = await mollie.capture(request)
    assert isinstance(accepted, Accepted)
    await visit(f"{double.books.url}/double/captures/{accepted.reference}/failed")
    assert await mollie.look_up(request) == Declined("declined", accepted.reference, "capture", "failed")
    double.books.found(held).settlement = "now"
    assert isinstance(await mollie.capture(modification("capture", "fails-c2", held)), Succeeded)


@pytest.mark.parametrize(("kind", "pattern"), [("capture", CAPTURES), ("refund", REFUNDS)])
async def test_a_change_whose_answer_is_lost_is_found_by_our_key_and_is_done_once(
    mollie: Provider, double: MollieDouble, kind: Literal["capture", "refund"], pattern: str
) -> None:
    reference = await bought(mollie, f"lost-{kind}", capture=kind == "refund")
    request = modification(kind, f"lost-{kind}-1", reference, 700)
    assert await mollie.look_up(request) == NotFound()
    double.next_faults.append((pattern, Fault.DROPPED_AFTER))
    change = mollie.capture if kind == "capture" else mollie.refund
    assert isinstance(await change(request), Unknown)
    proof = await mollie.look_up(request)
    assert isinstance(proof, Succeeded)
    assert await change(request) == proof
    assert movements(double, reference).count((kind, 700)) == 1


async def test_a_refund_that_mollie_takes_for_a_repetition_is_unknown_and_then_looked_up() -> None:
    conflict = {"status": 409, "title": "Conflict", "detail": "A similar refund was made.", "_links": {}}
    empty = {"_embedded": {"refunds": []}, "_links": {"next": None}}
    script = [Part(answer(json.dumps(conflict).encode(), "409 Conflict")), Part(answer(json.dumps(empty).encode()))]
    async with raw_server(*script) as server, connected(server.url) as mollie:
        assert isinstance(await mollie.refund(modification("refund", "att_1", "tr_1234")), Unknown)


@pytest.mark.parametrize(("status", "reason"), [("failed", "failed"), ("canceled", "canceled")])
async def test_a_refund_may_fail_after_it_was_made(
    mollie: Provider, double: MollieDouble, status: str, reason: str
) -> None:
    reference = await bought(mollie, f"late-{status}")
    request = modification("refund", f"late-{status}-r", reference, 700)
    proof = await mollie.refund(request)
    assert isinstance(proof, Succeeded)
    await visit(f"{double.books.url}/double/refunds/{proof.reference}/{status}")
    assert await mollie.look_up(request) == Declined("declined", proof.reference, "refund", reason)


@pytest.mark.parametrize("status", ["queued", "pending", "processing"])
async def test_a_refund_on_its_way_is_accepted(mollie: Provider, double: MollieDouble, status: str) -> None:
    reference = await bought(mollie, f"way-{status}", settlement="open")
    request = modification("refund", f"way-{status}-r", reference, 700)
    accepted = await mollie.refund(request)
    double.books.found(reference).refunds[0]["status"] = status
    assert await mollie.look_up(request) == accepted == Accepted(double.books.found(reference).refunds[0]["id"])


async def test_a_refund_is_found_among_hundreds_and_not_said_to_be_missing_among_thousands(
    mollie: Provider, double: MollieDouble
) -> None:
    reference = await bought(mollie, "many")
    oldest = modification("refund", "many-oldest", reference, 1)
    assert isinstance(await mollie.refund(oldest), Succeeded)
    record = double.books.found(reference)
    cent = {"currency": "USD", "value": "0.01"}
    for _ in range(260):
        payments.refund(double.books, record, {"amount": cent})
    assert isinstance(await mollie.look_up(oldest), Succeeded)
    record.refunds.extend([{**record.refunds[-1], "id": f"re_{number}"} for number in range(800)])
    assert isinstance(await mollie.look_up(oldest), Unknown)


async def test_a_void_is_accepted_until_mollie_has_released_the_amount() -> None:
    held = Part(answer(json.dumps(PAYMENT | {"status": "authorized", "captureMode": "manual"}).encode()))
    released = Part(answer(json.dumps(PAYMENT | {"status": "canceled", "captureMode": "manual"}).encode()))
    void = modification("void", "att_2", "tr_1234")
    script = [Part(answer(b"", "202 Accepted")), held, held, released]
    async with raw_server(*script) as server, connected(server.url) as mollie:
        assert await mollie.void(void) == Accepted("tr_1234")
        assert await mollie.look_up(void) == NotFound()
        assert await mollie.look_up(void) == Succeeded("tr_1234", kind="void")


async def test_a_void_whose_answer_is_lost_is_found_done(mollie: Provider, double: MollieDouble) -> None:
    held = await bought(mollie, "lost-void", capture=False)
    void = modification("void", "lost-void-v", held)
    double.next_faults.append((RELEASES, Fault.DROPPED_AFTER))
    assert isinstance(await mollie.void(void), Unknown)
    assert await mollie.look_up(void) == Succeeded(held, kind="void")
    assert await mollie.void(void) == Succeeded(held, kind="void")
    assert movements(double, held) == [("authorization", 1000), ("release", 1000)]


async def test_an_authorization_that_has_expired_is_a_void_that_is_done(mollie: Provider, double: MollieDouble) -> None:
    held = await bought(mollie, "expired", capture=False)
    double.books.found(held).payment["status"] = "expired"
    assert await mollie.void(modification("void", "expired-v", held)) == Succeeded(held, kind="void")
    assert isinstance(await mollie.capture(modification("capture", "expired-c", held)), NotDone)


async def test_a_captured_payment_is_not_released(mollie: Provider) -> None:
    held = await bought(mollie, "taken", capture=False)
    await mollie.capture(modification("capture", "taken-c", held))
    void = modification("void", "taken-v", held)
    for found in (await mollie.void(void), await mollie.look_up(void)):
        assert found == Declined("provider_refused", held, "void", "paid")
