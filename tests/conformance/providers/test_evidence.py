"""The contract of evidence that is no outcome: calls without effect, outcomes that come later, stored errors."""

import asyncio

from paidonce.providers.base import Modification
from paidonce.providers.evidence import Accepted, Declined, Evidence, NotDone, Succeeded, Unknown
from tests.conformance.providers.calls import (
    ask,
    assert_not_found,
    change,
    changed,
    charge,
    charged,
    decided,
    is_refused,
    outcome,
    ready,
    required,
)
from tests.conformance.providers.kits import Kit


async def test_a_call_that_is_refused_had_no_effect_and_books_nothing(kit: Kit) -> None:
    request = charge(required(kit.refused, "no call is refused"))
    opens = kit.provider.opens_session(request.payment_method)
    for _ in range(2):
        found = await (kit.provider.open(request) if opens else kit.provider.charge(request))
        assert isinstance(found, NotDone)
        assert not found.retryable
        await assert_not_found(kit, request)
        assert await kit.money_moved(request.checkout_id) == []


async def test_a_stored_error_stays_and_a_look_up_or_a_webhook_tells_of_the_one_charge(kit: Kit) -> None:
    request = await ready(kit, required(kit.replayed_error, "no error is stored"))
    assert isinstance(await kit.provider.charge(request), Unknown)
    for _ in range(2):
        again = await kit.provider.charge(request)
        assert isinstance(again, Unknown)
        assert again.replayed or not kit.marks_replays
    proof = await kit.look_up(request)
    assert isinstance(proof, Succeeded)
    body = kit.webhook(request.key, proof.reference)
    (notice,) = await kit.provider.read_webhook(kit.signed(body), body) or ()
    assert notice.key == request.key
    assert isinstance(notice.evidence, Succeeded)
    assert notice.evidence.reference == proof.reference
    assert await kit.money_moved(request.checkout_id) == [1000]


async def test_an_error_that_is_not_stored_is_not_told_as_stored(kit: Kit) -> None:
    request = await ready(kit, required(kit.failing_after, "no answer is lost"))
    found = await kit.provider.charge(request)
    assert isinstance(found, Unknown)
    assert not found.replayed


async def test_a_charge_that_was_accepted_succeeds_later(kit: Kit) -> None:
    request = await ready(kit, required(kit.accepted, "no charge is accepted first"))
    assert isinstance(await kit.provider.charge(request), Accepted)
    proof = await decided(kit, request)
    assert isinstance(proof, Succeeded)
    assert await outcome(kit, await kit.provider.charge(request), request) == proof
    assert await kit.money_moved(request.checkout_id) == [1000]


async def test_a_charge_that_was_accepted_may_be_declined_later(kit: Kit) -> None:
    request = await ready(kit, required(kit.accepted_then_declined, "no charge is accepted and declined later"))
    assert isinstance(await kit.provider.charge(request), Accepted)
    assert isinstance(await decided(kit, request), Declined)
    assert await kit.money_moved(request.checkout_id) == []


async def accepted_then_decided(kit: Kit, request: Modification) -> Evidence:
    """Ask for a change of a charge, several times at once: it is accepted, and then there is one outcome."""
    answers = await asyncio.gather(*(ask(kit, request) for _ in range(3)))
    assert isinstance(answers[0], Accepted)
    proof = await decided(kit, request)
    assert all(isinstance(one, Accepted) or one == proof for one in answers)
    assert await changed(kit, request) == proof
    return proof


async def test_a_capture_that_was_accepted_succeeds_later(kit: Kit) -> None:
    method = required(kit.capture_accepted, "no capture is accepted first")
    reference = await charged(kit, method=method, capture=False)
    assert isinstance(await accepted_then_decided(kit, change("capture", reference, 700)), Succeeded)
    assert isinstance(await changed(kit, change("void", reference, 1000)), Declined)


async def test_a_capture_that_was_accepted_and_fails_leaves_the_amount_authorized(kit: Kit) -> None:
    method = required(kit.capture_accepted_then_failed, "no capture is accepted and fails later")
    reference = await charged(kit, method=method, capture=False)
    assert isinstance(await accepted_then_decided(kit, change("capture", reference, 1000)), Declined)
    assert isinstance(await changed(kit, change("void", reference, 1000)), Succeeded)


async def test_a_refund_that_was_accepted_succeeds_later_and_takes_its_part_of_the_charge(kit: Kit) -> None:
    reference = await charged(kit, method=required(kit.refund_accepted, "no refund is accepted first"))
    assert isinstance(await accepted_then_decided(kit, change("refund", reference, 700)), Succeeded)
    excess = change("refund", reference, 301)
    refused = is_refused(await kit.provider.refund(excess))
    assert refused or isinstance(await decided(kit, excess), Declined)


async def test_a_refund_that_was_accepted_and_fails_gives_its_part_of_the_charge_back(kit: Kit) -> None:
    method = required(kit.refund_accepted_then_failed, "no refund is accepted and fails later")
    reference = await charged(kit, method=method)
    first = await accepted_then_decided(kit, change("refund", reference, 1000))
    again = await accepted_then_decided(kit, change("refund", reference, 1000))
    assert isinstance(first, Declined)
    assert isinstance(again, Declined)
    assert again.code == first.code, "the second refund is not declined for its amount"
