"""The contract of every provider, driven through ``providers.base`` alone: a new connector passes it unchanged."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path

import pytest

from paidonce.errors import MalformedBody
from paidonce.money import Money
from paidonce.providers.base import (
    Authorized,
    ChargeRequest,
    Declined,
    Evidence,
    Modification,
    NotFound,
    Succeeded,
    Unknown,
)
from tests.conformance.providers.kits import KITS, Kit, Running
from tests.support.provider_process import forgeries, signed
from tests.support.service_process import ServiceProcess, processes


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with processes(tmp_path_factory.mktemp("provider")) as start:
        simulators: list[ServiceProcess] = []

        def one() -> ServiceProcess:
            if not simulators or simulators[-1].process.poll() is not None:
                simulators.append(start("simulator", "--port", "0", "--database", "books.db"))
            return simulators[-1]

        yield one


@pytest.fixture(params=KITS)
async def kit(request: pytest.FixtureRequest, tmp_path: Path, running: Running) -> AsyncIterator[Kit]:
    async with KITS[request.param](tmp_path, running) as one:
        yield one


def new_key() -> str:
    return f"att_{secrets.token_hex(8)}"


def charge(method: str, *, key: str | None = None, amount: int = 1000, capture: bool = True) -> ChargeRequest:
    return ChargeRequest(
        key=key or new_key(),
        money=Money(amount, "USD"),
        payment_method=method,
        capture=capture,
        checkout_id=f"chk_{secrets.token_hex(4)}",
        merchant_id="m1",
    )


def change(reference: str, amount: int, key: str | None = None) -> Modification:
    return Modification(key=key or new_key(), money=Money(amount, "USD"), charge_reference=reference)


async def charged(kit: Kit, *, capture: bool = True) -> str:
    """Charge, or hold, 10.00; returns the provider's reference."""
    proof = await kit.provider.charge(charge(kit.succeeding, capture=capture))
    assert isinstance(proof, Succeeded if capture else Authorized)
    return proof.reference


async def heard(kit: Kit, call: Awaitable[Evidence]) -> Evidence:
    """Wait as long as a caller waits."""
    try:
        async with asyncio.timeout(kit.patience_seconds + 1):
            return await call
    except TimeoutError:
        return Unknown("silence")


async def test_a_charge_that_succeeds_is_proof_and_so_is_its_look_up(kit: Kit) -> None:
    wish = charge(kit.succeeding)
    proof = await kit.provider.charge(wish)
    assert isinstance(proof, Succeeded)
    assert proof.reference
    assert (proof.amount, proof.currency) in ((1000, "USD"), (None, None))
    assert await kit.provider.look_up(wish.key) == proof


async def test_a_decline_is_proof_with_its_code_and_so_is_its_look_up(kit: Kit) -> None:
    wish = charge(kit.declining)
    proof = await kit.provider.charge(wish)
    assert isinstance(proof, Declined)
    assert proof.code == kit.decline_code
    assert await kit.provider.look_up(wish.key) == proof


async def test_the_same_key_again_is_answered_as_the_first_time(kit: Kit) -> None:
    assert kit.provider.capabilities.deduplicates_by_key
    for method in (kit.succeeding, kit.declining):
        wish = charge(method)
        answers = await asyncio.gather(*(kit.provider.charge(wish) for _ in range(5)))
        assert answers == [answers[0]] * 5
        assert await kit.provider.charge(wish) == answers[0]


async def test_two_keys_are_two_charges(kit: Kit) -> None:
    assert await charged(kit) != await charged(kit)


async def test_a_key_that_was_never_sent_is_not_found(kit: Kit) -> None:
    assert await kit.provider.look_up(new_key()) == NotFound()


async def test_a_call_that_fails_before_it_is_booked_is_unknown_and_may_be_sent_again(kit: Kit) -> None:
    wish = charge(kit.failing_before)
    assert isinstance(await kit.provider.charge(wish), Unknown)
    assert await kit.provider.look_up(wish.key) == NotFound()
    assert isinstance(await kit.provider.charge(wish), Succeeded)


@pytest.mark.parametrize("way", ["failing_after", "silent"])
async def test_an_answer_that_is_lost_is_unknown_until_a_look_up_tells_the_truth(kit: Kit, way: str) -> None:
    wish = charge(getattr(kit, way))
    assert isinstance(await heard(kit, kit.provider.charge(wish)), Unknown)
    proof = await kit.provider.look_up(wish.key)
    assert isinstance(proof, Succeeded)
    assert await kit.provider.charge(wish) == proof


async def test_held_money_is_captured_in_part_once(kit: Kit) -> None:
    assert kit.provider.capabilities.manual_capture
    held = await charged(kit, capture=False)
    wish = change(held, 700)
    proof = await kit.provider.capture(wish)
    assert isinstance(proof, Succeeded)
    assert await kit.provider.capture(wish) == proof
    assert await kit.provider.look_up(wish.key) == proof
    assert isinstance(await kit.provider.capture(change(held, 300)), Declined)
    assert isinstance(await kit.provider.void(change(held, 1000)), Declined)
    assert isinstance(await kit.provider.refund(change(held, 701)), Declined)
    assert isinstance(await kit.provider.refund(change(held, 700)), Succeeded)


async def test_no_more_is_captured_than_is_held(kit: Kit) -> None:
    held = await charged(kit, capture=False)
    assert isinstance(await kit.provider.capture(change(held, 1001)), Declined)


async def test_a_look_up_of_a_held_charge_stays_what_it_was_after_the_capture(kit: Kit) -> None:
    wish = charge(kit.succeeding, capture=False)
    proof = await kit.provider.charge(wish)
    assert isinstance(proof, Authorized)
    await kit.provider.capture(change(proof.reference, 1000))
    assert await kit.provider.look_up(wish.key) == proof


async def test_held_money_is_let_go_once_and_for_all(kit: Kit) -> None:
    held = await charged(kit, capture=False)
    wish = change(held, 1000)
    proof = await kit.provider.void(wish)
    assert isinstance(proof, Succeeded)
    assert await kit.provider.void(wish) == proof
    assert await kit.provider.look_up(wish.key) == proof
    assert isinstance(await kit.provider.capture(change(held, 1000)), Declined)


async def test_partial_refunds_never_exceed_the_charge_and_each_key_refunds_once(kit: Kit) -> None:
    assert kit.provider.capabilities.partial_refund
    reference = await charged(kit)
    wishes = [change(reference, 300) for _ in range(4)]
    answers = await asyncio.gather(*(kit.provider.refund(wish) for wish in (*wishes, *wishes)))
    assert answers[:4] == answers[4:]
    assert [type(one) for one in answers[:4]].count(Succeeded) == 3
    assert isinstance(await kit.provider.refund(change(reference, 100)), Succeeded)
    assert isinstance(await kit.provider.refund(change(reference, 1)), Declined)


async def test_a_change_of_a_charge_that_is_not_there_is_declined(kit: Kit) -> None:
    assert isinstance(await kit.provider.refund(change("ch_nowhere", 1)), Declined)


async def test_whatever_is_proven_is_told_with_the_kind_of_operation_that_it_proves_or_with_none(kit: Kit) -> None:
    first, second = charge(kit.succeeding, capture=False), charge(kit.succeeding, capture=False)
    held, other = await kit.provider.charge(first), await kit.provider.charge(second)
    assert isinstance(held, Authorized)
    assert isinstance(other, Authorized)
    declined = await kit.provider.charge(charge(kit.declining))
    capture, refund, void = change(held.reference, 1000), change(held.reference, 1000), change(other.reference, 1000)
    told = {
        "charge": [held, other, declined, await kit.provider.look_up(first.key)],
        "capture": [await kit.provider.capture(capture), await kit.provider.look_up(capture.key)],
        "refund": [await kit.provider.refund(refund), await kit.provider.look_up(refund.key)],
        "void": [await kit.provider.void(void), await kit.provider.look_up(void.key)],
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
    notice = kit.provider.read_webhook(signed(body, message_id="msg_1"), body)
    assert notice is not None
    assert (notice.id, notice.key) == ("msg_1", "att_1")
    assert notice.evidence == Succeeded("ch_1", 1000, kind="charge")


async def test_a_webhook_that_is_forged_or_stale_is_not_believed(kit: Kit) -> None:
    body = kit.webhook("att_1", "ch_1")
    believed = [
        wrong for wrong, headers in forgeries(body).items() if kit.provider.read_webhook(headers, body) is not None
    ]
    assert believed == []


async def test_a_signed_webhook_that_is_no_news_about_money_proves_nothing(kit: Kit) -> None:
    for body in (b"{}", b'{"type":"account.updated","data":{"id":1}}'):
        notice = kit.provider.read_webhook(signed(body, message_id="msg_1"), body)
        assert notice is not None
        assert (notice.id, notice.key, notice.evidence) == ("msg_1", None, None)


@pytest.mark.parametrize("body", [b"", b"\xff", b'{"type":"\xff"}', b'{"other":' + b"[" * 100_000, b"no JSON"])
async def test_a_signed_webhook_that_is_not_json_in_utf_8_is_refused_as_malformed(kit: Kit, body: bytes) -> None:
    with pytest.raises(MalformedBody):
        kit.provider.read_webhook(signed(body, message_id="msg_1"), body)


async def test_a_provider_that_is_gone_is_unknown_and_raises_nothing(kit: Kit) -> None:
    reference = await charged(kit)
    kit.vanish()
    answers = [
        await heard(kit, kit.provider.charge(charge(kit.succeeding))),
        await heard(kit, kit.provider.capture(change(reference, 1))),
        await heard(kit, kit.provider.void(change(reference, 1))),
        await heard(kit, kit.provider.refund(change(reference, 1))),
        await heard(kit, kit.provider.look_up(new_key())),
    ]
    assert {type(one) for one in answers} == {Unknown}
