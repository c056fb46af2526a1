"""The contract of every provider, driven through ``providers.base`` alone: a new connector passes it unchanged."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from paidonce.errors import MalformedBody
from paidonce.providers.evidence import Authorized, Declined, NotDone, Notice, Succeeded, Unknown
from tests.conformance.providers.calls import (
    assert_not_found,
    change,
    changed,
    charge,
    charged,
    heard,
    is_refused,
    ready,
    required,
)
from tests.conformance.providers.kits import Kit


async def read(kit: Kit, body: bytes) -> Sequence[Notice]:
    """Read a webhook that is signed."""
    notices = await kit.provider.read_webhook(kit.signed(body), body)
    assert notices is not None
    return notices


async def test_a_charge_that_succeeds_is_proof_and_so_is_its_look_up(kit: Kit) -> None:
    wish = await ready(kit, kit.succeeding)
    proof = await kit.provider.charge(wish)
    assert isinstance(proof, Succeeded)
    assert proof.reference
    assert (proof.amount, proof.currency) in ((1000, "USD"), (None, None))
    assert await kit.look_up(wish) == proof


async def test_a_decline_is_proof_with_its_code_and_so_is_its_look_up(kit: Kit) -> None:
    wish = await ready(kit, kit.declining)
    proof = await kit.provider.charge(wish)
    assert isinstance(proof, Declined)
    assert proof.code == kit.decline_code
    assert await kit.look_up(wish) == proof


async def test_the_same_key_again_is_answered_as_the_first_time(kit: Kit) -> None:
    assert kit.provider.capabilities.charge.key_lifetime_seconds > 0
    for method in (kit.succeeding, kit.declining):
        wish = await ready(kit, method)
        answers = await asyncio.gather(*(kit.provider.charge(wish) for _ in range(5)))
        assert answers == [answers[0]] * 5
        assert await kit.provider.charge(wish) == answers[0]


async def test_two_keys_are_two_charges(kit: Kit) -> None:
    assert await charged(kit) != await charged(kit)


async def test_a_key_that_was_never_sent_is_not_found(kit: Kit) -> None:
    await assert_not_found(kit, charge(kit.succeeding))


async def test_a_call_that_fails_before_it_is_booked_is_unknown_and_may_be_sent_again(kit: Kit) -> None:
    wish = await ready(kit, required(kit.failing_before, "no call fails before it is booked"))
    assert isinstance(await kit.provider.charge(wish), Unknown)
    await assert_not_found(kit, wish)
    assert isinstance(await kit.provider.charge(wish), Succeeded)


@pytest.mark.parametrize("way", ["failing_after", "silent"])
async def test_an_answer_that_is_lost_is_unknown_until_a_look_up_tells_the_truth(kit: Kit, way: str) -> None:
    method: str | None = getattr(kit, way)
    wish = await ready(kit, required(method, "no answer is lost"))
    assert isinstance(await heard(kit, kit.provider.charge(wish)), Unknown)
    proof = await kit.look_up(wish)
    assert isinstance(proof, Succeeded)
    assert await kit.provider.charge(wish) == proof


async def test_held_money_is_captured_in_part_once(kit: Kit) -> None:
    assert kit.provider.capabilities.manual_capture
    held = await charged(kit, capture=False)
    wish = change("capture", held, 700)
    proof = await changed(kit, wish)
    assert isinstance(proof, Succeeded)
    assert await changed(kit, wish) == proof
    assert await kit.look_up(wish) == proof
    assert is_refused(await changed(kit, change("capture", held, 300)))
    assert is_refused(await changed(kit, change("void", held, 1000)))
    assert is_refused(await changed(kit, change("refund", held, 701)))
    assert isinstance(await changed(kit, change("refund", held, 700)), Succeeded)


async def test_no_more_is_captured_than_is_held(kit: Kit) -> None:
    held = await charged(kit, capture=False)
    assert is_refused(await changed(kit, change("capture", held, 1001)))


async def test_a_look_up_of_a_held_charge_stays_what_it_was_after_the_capture(kit: Kit) -> None:
    wish = await ready(kit, kit.succeeding, capture=False)
    proof = await kit.provider.charge(wish)
    assert isinstance(proof, Authorized)
    assert isinstance(await changed(kit, change("capture", proof.reference, 1000)), Succeeded)
    assert await kit.look_up(wish) == proof


async def test_held_money_is_let_go_once_and_for_all(kit: Kit) -> None:
    held = await charged(kit, capture=False)
    wish = change("void", held, 1000)
    proof = await changed(kit, wish)
    assert isinstance(proof, Succeeded)
    assert await changed(kit, wish) == proof
    assert await kit.look_up(wish) == proof
    assert is_refused(await changed(kit, change("capture", held, 1000)))


async def test_another_void_of_what_is_let_go_is_proof_too_that_nothing_is_held(kit: Kit) -> None:
    required(kit.proves_release, "a void is refused in one way whether the amount is captured or released")
    held = await charged(kit, capture=False)
    for _ in range(2):
        assert isinstance(await changed(kit, change("void", held, 1000)), Succeeded)


async def test_partial_refunds_never_exceed_the_charge_and_each_key_refunds_once(kit: Kit) -> None:
    assert kit.provider.capabilities.partial_refund
    reference = await charged(kit)
    wishes = [change("refund", reference, 300) for _ in range(4)]
    answers = await asyncio.gather(*(changed(kit, wish) for wish in (*wishes, *wishes)))
    assert answers[:4] == answers[4:]
    assert [type(one) for one in answers[:4]].count(Succeeded) == 3
    assert isinstance(await changed(kit, change("refund", reference, 100)), Succeeded)
    assert is_refused(await changed(kit, change("refund", reference, 1)))


async def test_a_change_of_a_charge_that_is_not_there_is_declined(kit: Kit) -> None:
    assert is_refused(await changed(kit, change("refund", "ch_nowhere", 1)))


async def test_whatever_is_proven_is_told_with_the_kind_of_operation_that_it_proves_or_with_none(kit: Kit) -> None:
    first, second = [await ready(kit, kit.succeeding, capture=False) for _ in range(2)]
    held, other = await kit.provider.charge(first), await kit.provider.charge(second)
    assert isinstance(held, Authorized)
    assert isinstance(other, Authorized)
    declined = await kit.provider.charge(await ready(kit, kit.declining))
    capture, refund = change("capture", held.reference, 1000), change("refund", held.reference, 1000)
    void = change("void", other.reference, 1000)
    told = {
        "charge": [held, other, declined, await kit.look_up(first)],
        "capture": [await changed(kit, capture), await kit.look_up(capture)],
        "refund": [await changed(kit, refund), await kit.look_up(refund)],
        "void": [await changed(kit, void), await kit.look_up(void)],
    }
    wrong = [
        (kind, proof)
        for kind, proofs in told.items()
        for proof in proofs
        if not isinstance(proof, Succeeded | Authorized | Declined) or proof.kind not in (kind, None)
    ]
    assert wrong == []


async def test_a_webhook_that_is_signed_is_read(kit: Kit) -> None:
    body = kit.webhook("att_1", "ch_1")
    (notice,) = await read(kit, body)
    assert (notice.id, notice.key) == (kit.webhook_id, "att_1")
    assert notice.evidence in [Succeeded("ch_1", 1000, currency, "charge") for currency in ("USD", None)]


async def test_a_webhook_that_is_forged_or_stale_is_not_believed(kit: Kit) -> None:
    body = kit.webhook("att_1", "ch_1")
    believed = [
        wrong
        for wrong, headers in kit.forgeries(body).items()
        if await kit.provider.read_webhook(headers, body) is not None
    ]
    for wrong, forged in kit.forged_bodies(body).items():
        if await kit.provider.read_webhook(kit.signed(forged), forged) is not None:
            believed.append(wrong)
    assert believed == []


async def test_a_signed_webhook_that_is_no_news_about_money_proves_nothing(kit: Kit) -> None:
    for body in kit.other_webhooks:
        (notice,) = await read(kit, body)
        assert (notice.id, notice.key, notice.evidence) == (kit.webhook_id, None, None)


@pytest.mark.parametrize("body", [b"", b"\xff", b'{"type":"\xff"}', b'{"other":' + b"[" * 100_000, b"no JSON"])
async def test_a_signed_webhook_that_is_not_json_in_utf_8_is_refused_as_malformed(kit: Kit, body: bytes) -> None:
    with pytest.raises(MalformedBody):
        await kit.provider.read_webhook(kit.signed(body), body)


async def test_a_provider_that_is_gone_proves_nothing_about_earlier_calls_and_raises_nothing(kit: Kit) -> None:
    reference = await charged(kit)
    wish = await ready(kit, kit.succeeding)
    kit.vanish()
    sessions = [method for method in (kit.succeeding, *kit.paid_by_buyer) if kit.provider.opens_session(method)]
    answers = [
        *[await heard(kit, kit.provider.open(charge(method))) for method in sessions],
        await heard(kit, kit.provider.charge(wish)),
        await heard(kit, kit.provider.close(msgspec.structs.replace(wish, session_reference=reference))),
        await heard(kit, kit.provider.capture(change("capture", reference, 1))),
        await heard(kit, kit.provider.void(change("void", reference, 1))),
        await heard(kit, kit.provider.refund(change("refund", reference, 1))),
        await heard(kit, kit.look_up(wish)),
    ]
    assert all(isinstance(one, Unknown) or (isinstance(one, NotDone) and one.retryable) for one in answers)
