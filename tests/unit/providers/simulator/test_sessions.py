"""Sessions of the simulation: what is booked under keys, faults and restarts, and which webhooks are sent.

What every provider promises of sessions is in tests/conformance/providers.
"""

import asyncio
from pathlib import Path

import pytest

from paidonce.clock import format_instant
from paidonce.providers.simulator.behaviour import ACCEPTED, ACCEPTED_MS
from paidonce.providers.simulator.books import ChargePage
from paidonce.providers.simulator.calls import LostResponse, Rules, send_nothing
from paidonce.providers.simulator.faults import Fault, FaultPlan, WebhookFault
from paidonce.providers.simulator.session_books import SessionState, SessionStep
from paidonce.providers.simulator.simulation import Refusal, Simulation
from paidonce.providers.simulator.wire import ChangeBody, ChargeBody, Operation, SessionBody
from tests.proof.virtual_time import VirtualLoop, run
from tests.support.simulated_provider import NOW, SimulatedProvider

MINUTE_MS = 60_000
WITH_BUYER = ["hosted", "tok_redirect", "tok_3ds", "tok_redirect_then_charge"]


def session_body(method: str = "tok_redirect", key: str = "att_1", *, capture: bool = True) -> SessionBody:
    return SessionBody(
        key=key,
        amount=1000,
        currency="USD",
        payment_method=method,
        capture=capture,
        checkout_id="chk_1",
        merchant_id="m1",
        return_url="https://shop.example/return/1",
        expires_at=format_instant(NOW + MINUTE_MS),
    )


async def opened(simulation: Simulation, method: str = "tok_redirect", key: str = "att_1") -> SessionState:
    found = await simulation.open_session(session_body(method, key))
    assert isinstance(found, SessionState)
    return found


async def taken(simulation: Simulation, reference: str, step: SessionStep) -> SessionState:
    found = await simulation.act(reference, step)
    assert found is not None
    return found


async def charges(simulation: Simulation) -> list[str]:
    return [line.status for line in await simulation.charges(ChargePage())]


async def test_a_key_opens_one_session_until_it_is_forgotten(provider: SimulatedProvider) -> None:
    simulation = provider.simulation(Rules(key_lifetime_seconds=60))
    first = await opened(simulation)
    provider.now += 59_999
    assert (await opened(simulation)).session.reference == first.session.reference
    provider.now += 1
    assert (await opened(simulation)).session.reference != first.session.reference


async def test_without_deduplication_each_session_of_a_key_has_a_charge_of_its_own(provider: SimulatedProvider) -> None:
    simulation = provider.simulation(Rules(deduplicates=False))
    one, other = await opened(simulation), await opened(simulation)
    await taken(simulation, one.session.reference, SessionStep.APPROVE)
    await taken(simulation, other.session.reference, SessionStep.DECLINE)
    told = [await simulation.find_session(state.session.reference) for state in (one, other)]
    assert [state and state.charge and state.charge.status for state in told] == ["succeeded", "declined"]


@pytest.mark.parametrize("method", WITH_BUYER)
async def test_what_a_buyer_does_twice_is_done_and_told_once(provider: SimulatedProvider, method: str) -> None:
    simulation = provider.simulation(Rules())
    reference = (await opened(simulation, method)).session.reference
    await asyncio.gather(*(simulation.act(reference, SessionStep.APPROVE) for _ in range(5)))
    await taken(simulation, reference, SessionStep.DECLINE)
    if method == "tok_redirect_then_charge":
        assert await charges(simulation) == []
        assert provider.told == [("approved", WebhookFault.ONCE)]
    else:
        assert await charges(simulation) == ["succeeded"]
        assert provider.told == [("succeeded", WebhookFault.ONCE)]
    assert {getattr(one, "key", None) for one in provider.sent} == {"att_1"}


async def test_a_session_that_expired_takes_no_money_whoever_asks(provider: SimulatedProvider) -> None:
    simulation = provider.simulation(Rules())
    waiting = [(await opened(simulation, method, method)).session.reference for method in (*WITH_BUYER, "tok_session")]
    provider.now += MINUTE_MS
    for reference in waiting:
        for step in SessionStep:
            assert (await taken(simulation, reference, step)).is_expired
    assert await charges(simulation) == []
    assert provider.told == []


async def test_a_session_that_was_charged_in_time_does_not_expire(provider: SimulatedProvider) -> None:
    simulation = provider.simulation(Rules())
    reference = (await opened(simulation)).session.reference
    await taken(simulation, reference, SessionStep.APPROVE)
    provider.now += MINUTE_MS
    found = await simulation.find_session(reference)
    assert found is not None
    assert not found.is_expired
    assert found.charge is not None


async def test_a_step_with_a_session_that_is_not_there_is_refused_and_a_look_up_finds_none(
    provider: SimulatedProvider,
) -> None:
    simulation = provider.simulation(Rules())
    for step in (SessionStep.CHARGE, SessionStep.CLOSE):
        assert await simulation.step_session("ses_none", step) is Refusal.SESSION
    assert await simulation.session("ses_none") is None
    assert await simulation.act("ses_none", SessionStep.APPROVE) is None


async def faulty_session(simulation: Simulation, number: int, seen: set[object]) -> None:
    """Open, look up, charge and close a session, each until it is answered; ``seen`` collects what else came."""
    body = session_body("tok_session", f"att_{number}")
    while isinstance(found := await simulation.open_session(body), LostResponse):
        seen.add(("open", found))
    assert isinstance(found, SessionState)
    reference = found.session.reference
    while not isinstance(looked_up := await simulation.session(reference), SessionState):
        seen.add(("look up", looked_up))
    steps = (SessionStep.CLOSE, SessionStep.CHARGE) if number % 2 else (SessionStep.CHARGE, SessionStep.CLOSE)
    for step in steps:
        while isinstance(stepped := await simulation.step_session(reference, step), LostResponse):
            seen.add((step.value, stepped))
        assert isinstance(stepped, SessionState)


def test_faults_by_rate_and_seed_come_to_every_call_and_each_session_ends_once(tmp_path: Path) -> None:
    async def many(_loop: VirtualLoop) -> tuple[set[object], set[str], list[str]]:
        provider = SimulatedProvider(tmp_path / "books.db")
        provider.run_inline()
        simulation = provider.simulation(Rules(faults=FaultPlan(rate=1.0, seed=7)), send_nothing)
        seen: set[object] = set()
        for number in range(60):
            await faulty_session(simulation, number, seen)
        await asyncio.sleep(60)  # Of virtual time: what is booked late is booked now.
        found = seen, set(simulation.counts), await charges(simulation)
        await simulation.close()
        provider.database.close()
        return found

    seen, counted, booked = run(many)
    lost = (LostResponse.SILENCE, LostResponse.ERROR, LostResponse.DROPPED)
    assert seen == {(call, how) for call in ("open", "look up", "charge", "close") for how in lost} | {
        ("look up", None)  # Hidden from look-ups.
    }
    assert {fault.name.lower() for fault in Fault if fault is not Fault.NONE} <= counted
    # What was charged first was charged; of what was closed first only a late charge may have come before.
    assert booked.count("succeeded") == len(booked) <= 60
    assert len(booked) >= 30


@pytest.mark.parametrize("method", ACCEPTED)
def test_what_was_accepted_first_is_told_once_when_it_is_decided(tmp_path: Path, method: str) -> None:
    kind, code = ACCEPTED[method]

    async def story(_loop: VirtualLoop) -> list[str]:
        provider = SimulatedProvider(tmp_path / "books.db")
        provider.run_inline()
        simulation = provider.simulation(Rules())
        body = ChargeBody(
            key="att_1",
            amount=1000,
            currency="USD",
            payment_method=method,
            capture=kind != "capture",
            checkout_id="chk_1",
            merchant_id="m1",
        )
        answer = await simulation.charge(body)
        assert isinstance(answer, Operation)
        if kind != "charge":
            provider.told.clear()
            answer = await simulation.change(kind.upper(), answer.reference, ChangeBody(key="att_2", amount=1000))
            assert isinstance(answer, Operation)
        undecided = [answer, await simulation.look_up(answer.key)]
        provider.now += ACCEPTED_MS
        await asyncio.sleep(2 * ACCEPTED_MS / 1000)
        decided = [await simulation.look_up(answer.key)]
        told = provider.told
        await simulation.close()
        provider.database.close()
        outcomes = [one.outcome for one in (*undecided, *decided) if isinstance(one, Operation)]
        return [*outcomes, *(outcome for outcome, _ in told)]

    outcome = "declined" if code else "succeeded"
    assert run(story) == ["accepted", "accepted", outcome, outcome]
