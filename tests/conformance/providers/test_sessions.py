"""The contract of sessions: the buyer acts or nobody has to, and money moves at most once and never after an end."""

import asyncio

import msgspec
import pytest

from paidonce.providers.base import ChargeRequest
from paidonce.providers.evidence import (
    Authorized,
    BuyerAction,
    Declined,
    NotDone,
    Opened,
    RequiresAction,
    Succeeded,
    Unknown,
)
from tests.conformance.providers.calls import charge, decided, new_key, outcome, ready, required, shown, with_session
from tests.conformance.providers.kits import Kit

CALLS = 10
ROUNDS = 6
LONGER = (1, 4, 16, 64)
BY_BUYER = "no buyer pays on a page"
WITHOUT_BUYER = "every session needs a buyer"
CHARGED_AFTERWARDS = "the approval of a buyer is the charge"


def methods(kit: Kit) -> list[str]:
    """Return the payment methods of all kinds of sessions."""
    found = [*kit.paid_by_buyer, kit.approved_then_charged, kit.charged_without_buyer]
    return required([method for method in found if method], "nothing is paid through sessions")


async def chargeable(kit: Kit) -> list[ChargeRequest]:
    """Open a session of each kind that is charged by us, and approve it where a buyer must."""
    found = []
    if kit.charged_without_buyer:
        found.append(await ready(kit, kit.charged_without_buyer))
    if kit.approved_then_charged:
        request, action = await shown(kit, kit.approved_then_charged)
        await kit.approve(action)
        found.append(request)
    return required(found, "no session is charged by us")


async def test_to_open_a_session_moves_no_money(kit: Kit) -> None:
    for method in methods(kit):
        assert kit.provider.opens_session(method)
        request = charge(method)
        found = await kit.provider.open(request)
        assert isinstance(found, Opened | RequiresAction)
        assert await kit.look_up(with_session(request, found.reference)) == found
        assert await kit.money_moved(request.checkout_id) == []


async def test_a_key_opens_one_session_however_often_it_is_sent(kit: Kit) -> None:
    for method in methods(kit):
        request = charge(method)
        answers = await asyncio.gather(*(kit.provider.open(request) for _ in range(5)))
        assert await kit.provider.open(request) == answers[0]
        assert answers == [answers[0]] * 5
        assert isinstance(answers[0], Opened | RequiresAction)
        other = await kit.provider.open(charge(method))
        assert isinstance(other, Opened | RequiresAction)
        assert other.reference != answers[0].reference


async def test_a_session_is_charged_once_whatever_call_numbers_and_keys_it_is_charged_with(kit: Kit) -> None:
    for request in await chargeable(kit):
        calls = [
            msgspec.structs.replace(request, call_number=number, key=request.key if number % 3 else new_key())
            for number in range(1, CALLS + 1)
        ]
        answers = await asyncio.gather(*(kit.provider.charge(call) for call in calls))
        later = [await kit.provider.charge(call) for call in calls]
        assert await kit.money_moved(request.checkout_id) == [1000]
        proof = await decided(kit, request)
        assert isinstance(proof, Succeeded)
        # Another key may be answered as one that the provider knows nothing of.
        no_proof = [one for one in (*answers, *later) if one != proof]
        assert all(isinstance(one, Unknown | NotDone) for one in no_proof)


async def test_a_session_waits_until_the_buyer_approves_and_is_charged_then_once(kit: Kit) -> None:
    for method in required(kit.paid_by_buyer, BY_BUYER):
        request, action = await shown(kit, method)
        waiting = [await kit.look_up(request), await kit.provider.charge(request)]
        assert waiting == [RequiresAction(request.session_reference or "", action)] * 2
        assert await kit.money_moved(request.checkout_id) == []
        await kit.approve(action)
        proof = await decided(kit, request)
        assert isinstance(proof, Succeeded)
        assert (proof.amount, proof.currency, proof.kind) in ((1000, "USD", "charge"), (None, None, None))
        assert await outcome(kit, await kit.provider.charge(request), request) == proof
        assert await kit.money_moved(request.checkout_id) == [1000]


async def test_a_session_without_capture_authorizes(kit: Kit) -> None:
    for method in kit.paid_by_buyer:
        request, action = await shown(kit, method, capture=False)
        await kit.approve(action)
        assert isinstance(await decided(kit, request), Authorized)
    if kit.charged_without_buyer:
        request = await ready(kit, kit.charged_without_buyer, capture=False)
        assert isinstance(await kit.provider.charge(request), Authorized)


async def test_a_buyer_who_declines_ends_the_session(kit: Kit) -> None:
    code = required(kit.buyer_decline_code, "a buyer who declines may pay later in the same session")
    for method in [one for one in (*kit.paid_by_buyer, kit.approved_then_charged) if one]:
        request, action = await shown(kit, method)
        await kit.decline(action)
        proof = await kit.look_up(request)
        assert isinstance(proof, Declined)
        assert proof.code == code
        await kit.approve(action)
        assert [await kit.provider.charge(request), await kit.look_up(request)] == [proof] * 2
        assert await kit.money_moved(request.checkout_id) == []


async def test_a_bank_may_decline_what_the_buyer_approved(kit: Kit) -> None:
    request, action = await shown(kit, required(kit.approved_then_declined, "no bank declines after the approval"))
    await kit.approve(action)
    proof = await kit.look_up(request)
    assert isinstance(proof, Declined)
    assert proof.code == kit.decline_code
    assert await kit.provider.charge(request) == proof
    assert await kit.money_moved(request.checkout_id) == []


async def test_what_a_buyer_approves_is_charged_afterwards_and_not_before(kit: Kit) -> None:
    request, action = await shown(kit, required(kit.approved_then_charged, CHARGED_AFTERWARDS))
    assert isinstance(await kit.provider.charge(request), RequiresAction)
    await kit.approve(action)
    assert await kit.look_up(request) == Opened(request.session_reference or "")
    assert await kit.money_moved(request.checkout_id) == []
    proof = await kit.provider.charge(request)
    assert isinstance(proof, Succeeded)
    assert await kit.look_up(request) == proof
    assert await kit.money_moved(request.checkout_id) == [1000]


async def test_a_closed_session_takes_no_money(kit: Kit) -> None:
    for method in methods(kit):
        request = charge(method)
        found = await kit.provider.open(request)
        assert isinstance(found, Opened | RequiresAction)
        request = with_session(request, found.reference)
        proof = await kit.provider.close(request)
        assert isinstance(proof, Declined)
        if isinstance(found, RequiresAction):
            await kit.approve(found.action)
        after = [await kit.provider.charge(request), await kit.look_up(request)]
        assert [type(one) for one in after] == [Declined] * 2
        assert isinstance(await kit.provider.close(request), Declined)
        assert await kit.money_moved(request.checkout_id) == []


async def test_an_approved_session_that_is_closed_is_not_charged(kit: Kit) -> None:
    request, action = await shown(kit, required(kit.approved_then_charged, CHARGED_AFTERWARDS))
    await kit.approve(action)
    assert isinstance(await kit.provider.close(request), Declined)
    assert isinstance(await kit.provider.charge(request), Declined)
    assert await kit.money_moved(request.checkout_id) == []


async def test_a_paid_session_is_not_closed_but_told_as_paid(kit: Kit) -> None:
    for method in required(kit.paid_by_buyer, BY_BUYER):
        request, action = await shown(kit, method)
        await kit.approve(action)
        proof = await outcome(kit, await kit.provider.close(request), request)
        assert isinstance(proof, Succeeded)
        assert await kit.look_up(request) == proof
        assert await kit.money_moved(request.checkout_id) == [1000]


@pytest.mark.parametrize("closed_first", [True, False])
async def test_to_close_a_session_while_the_buyer_approves_tells_the_truth(kit: Kit, *, closed_first: bool) -> None:
    method = required(kit.paid_by_buyer, BY_BUYER)[0]
    for _ in range(ROUNDS):
        request, action = await shown(kit, method)
        if closed_first:
            closed, _ = await asyncio.gather(kit.provider.close(request), kit.approve(action))
        else:
            _, closed = await asyncio.gather(kit.approve(action), kit.provider.close(request))
        closed = await outcome(kit, closed, request)
        assert isinstance(closed, Declined | Succeeded)
        assert await kit.money_moved(request.checkout_id) == ([1000] if isinstance(closed, Succeeded) else [])
        # A provider may not tell afterwards whether the buyer or the merchant canceled.
        later = await kit.look_up(request)
        assert later == closed or (isinstance(later, Declined) and isinstance(closed, Declined))


async def test_to_close_a_session_while_it_is_charged_tells_the_truth(kit: Kit) -> None:
    method = required(kit.charged_without_buyer, WITHOUT_BUYER)
    for number in range(ROUNDS):
        request = await ready(kit, method)
        calls = [kit.provider.close(request), kit.provider.charge(request)]
        answers = await asyncio.gather(*(calls if number % 2 else reversed(calls)))
        proof = await kit.look_up(request)
        assert isinstance(proof, Declined | Succeeded)
        assert answers == [proof] * 2
        assert await kit.money_moved(request.checkout_id) == ([1000] if isinstance(proof, Succeeded) else [])


async def expiring(kit: Kit, method: str, *, approving: bool = False) -> tuple[ChargeRequest, BuyerAction | None]:
    """Open a session that expires soon, but not before it is opened and approved."""
    shortest = required(kit.shortest_session_ms, "no session is short enough to wait for its end")
    for factor in LONGER:
        request = charge(method, lasting_ms=shortest * factor)
        found = await kit.provider.open(request)
        if not isinstance(found, Opened | RequiresAction):
            continue
        request = with_session(request, found.reference)
        action = found.action if isinstance(found, RequiresAction) else None
        if not approving:
            return request, action
        assert action is not None
        await kit.approve(action)
        if isinstance(await kit.look_up(request), Opened):
            return request, action
    pytest.fail("every session expired before it was opened")


async def test_an_expired_session_takes_no_money(kit: Kit) -> None:
    opened = [await expiring(kit, method) for method in methods(kit)]
    if kit.approved_then_charged:
        opened.append(await expiring(kit, kit.approved_then_charged, approving=True))
    for request, action in opened:
        proof = await decided(kit, request)
        assert isinstance(proof, Declined)
        if action is not None:
            await kit.approve(action)
        after = [await kit.provider.charge(request), await kit.provider.close(request)]
        assert [type(one) for one in after] == [Declined] * 2
        assert await kit.money_moved(request.checkout_id) == []
