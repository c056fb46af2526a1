"""The simulation with its own books: what is booked, what is returned, and which webhooks are sent."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from paidonce.providers.simulator.behaviour import FAULTS, WEBHOOK_FAULTS
from paidonce.providers.simulator.books import BookCharge, Booked, ChargePage, _new_charge
from paidonce.providers.simulator.calls import LostResponse, Rules, send_nothing
from paidonce.providers.simulator.faults import Fault, FaultPlan, WebhookDraw, WebhookFault
from paidonce.providers.simulator.simulation import Simulation
from paidonce.providers.simulator.wire import Announced, ChangeBody, ChargeBody, Operation
from tests.proof.virtual_time import VirtualLoop, run
from tests.support.simulated_provider import NOW, SimulatedProvider


def command(key: str = "att_1", method: str = "tok_success", *, capture: bool = True, amount: int = 1000) -> ChargeBody:
    return ChargeBody(
        key=key,
        amount=amount,
        currency="USD",
        payment_method=method,
        capture=capture,
        checkout_id="chk_1",
        merchant_id="m1",
    )


async def booked(simulation: Simulation) -> Counter[str]:
    return Counter(line.status for line in await simulation.charges(ChargePage()))


async def test_a_key_that_comes_again_at_once_or_later_charges_once(provider: SimulatedProvider) -> None:
    simulation = provider.simulation(Rules())
    answers = await asyncio.gather(*(simulation.charge(command()) for _ in range(20)))
    assert len({str(answer) for answer in (*answers, await simulation.charge(command(method="tok_other")))}) == 1
    assert await booked(simulation) == {"succeeded": 1}


async def test_without_deduplication_each_call_charges(provider: SimulatedProvider) -> None:
    simulation = provider.simulation(Rules(deduplicates=False))
    answers = await asyncio.gather(*(simulation.charge(command()) for _ in range(5)))
    assert len({answer.reference for answer in answers if isinstance(answer, Operation)}) == 5
    assert await booked(simulation) == {"succeeded": 5}


async def test_a_key_is_forgotten_when_its_life_is_over(provider: SimulatedProvider) -> None:
    simulation = provider.simulation(Rules(key_lifetime_seconds=60))
    first = await simulation.charge(command())
    provider.now += 59_999
    assert await simulation.charge(command()) == first
    provider.now += 1
    assert await simulation.charge(command()) != first
    assert await booked(simulation) == {"succeeded": 2}


async def test_refunds_deduplicate_and_never_exceed_the_charge(provider: SimulatedProvider) -> None:
    simulation = provider.simulation(Rules())
    charge = await simulation.charge(command())
    assert isinstance(charge, Operation)
    bodies = [ChangeBody(key=f"ref_{number % 4}", amount=300) for number in range(8)]
    answers = await asyncio.gather(*(simulation.change("REFUND", charge.reference, one) for one in bodies))
    outcomes = {one.key: one.outcome for one in answers if isinstance(one, Operation)}
    assert Counter(outcomes.values()) == {"succeeded": 3, "declined": 1}
    (line,) = await simulation.charges(ChargePage())
    assert line.amount_refunded == 900


async def test_of_capture_and_void_one_takes_place(provider: SimulatedProvider) -> None:
    simulation = provider.simulation(Rules())
    held = await simulation.charge(command(capture=False))
    assert isinstance(held, Operation)
    assert held.outcome == "authorized"
    captured = await simulation.change("CAPTURE", held.reference, ChangeBody(key="cap", amount=800))
    voided = await simulation.change("VOID", held.reference, ChangeBody(key="void", amount=1000))
    assert isinstance(captured, Operation)
    assert isinstance(voided, Operation)
    assert (captured.outcome, voided.outcome, voided.decline_code) == ("succeeded", "declined", "charge_is_succeeded")
    # What became of the authorization is still told as it was; the capture has a key of its own.
    assert await simulation.look_up(held.key) == held


@pytest.mark.parametrize("method", FAULTS)
async def test_a_faulty_method_loses_the_first_answer_and_only_that(provider: SimulatedProvider, method: str) -> None:
    simulation = provider.simulation(Rules())
    first, second = await simulation.charge(command(method=method)), await simulation.charge(command(method=method))
    assert isinstance(first, LostResponse)
    assert isinstance(second, Operation)
    assert (await booked(simulation)).total() == 1
    assert simulation.counts == {FAULTS[method].name.lower(): 1}


async def test_a_hidden_charge_is_found_after_a_while(provider: SimulatedProvider) -> None:
    simulation = provider.simulation(Rules())
    await simulation.charge(command(method="tok_unknown_then_success"))
    assert await simulation.look_up("att_1") is None
    provider.now += 3000
    assert isinstance(await simulation.look_up("att_1"), Operation)


async def test_look_ups_lag_behind_where_the_rules_say_so(provider: SimulatedProvider) -> None:
    simulation = provider.simulation(Rules(lookup_delay_ms=500))
    await simulation.charge(command())
    assert await simulation.look_up("att_1") is None
    provider.now += 500
    assert isinstance(await simulation.look_up("att_1"), Operation)


@pytest.mark.parametrize("method", WEBHOOK_FAULTS)
async def test_the_first_call_of_a_key_is_told_as_its_method_says_and_no_other_is(
    provider: SimulatedProvider, method: str
) -> None:
    simulation = provider.simulation(Rules())
    for _ in range(3):
        await simulation.charge(command(method=method))
    webhook_fault = WEBHOOK_FAULTS[method]
    assert provider.told == ([] if webhook_fault is WebhookFault.NEVER else [("succeeded", webhook_fault)])
    assert simulation.counts == {f"webhook_{webhook_fault.name.lower()}": 1}


async def test_a_webhook_that_comes_first_is_delivered_before_the_answer(provider: SimulatedProvider) -> None:
    delivered, answered = asyncio.Event(), asyncio.Event()

    async def deliver(_announced: Announced, _draw: WebhookDraw) -> None:
        assert not answered.is_set()
        delivered.set()

    simulation = provider.simulation(Rules(), deliver)
    await simulation.charge(command(method="tok_webhook_first"))
    answered.set()
    assert delivered.is_set()


async def test_an_answer_that_is_lost_is_told_all_the_same(provider: SimulatedProvider) -> None:
    simulation = provider.simulation(Rules())
    assert await simulation.charge(command(method="tok_timeout_then_decline")) is LostResponse.SILENCE
    assert provider.told == [("declined", WebhookFault.ONCE)]


async def test_a_declined_charge_may_succeed_late_and_then_looks_as_if_it_always_had(
    provider: SimulatedProvider,
) -> None:
    simulation = provider.simulation(Rules())
    declined = await simulation.charge(command(method="tok_declined_expired_card"))
    assert isinstance(declined, Operation)
    succeeded = await simulation.succeed_late(declined.reference)
    assert succeeded is not None
    assert (succeeded.key, succeeded.reference, succeeded.outcome) == ("att_1", declined.reference, "succeeded")
    assert await simulation.look_up("att_1") == succeeded
    assert await simulation.succeed_late(declined.reference) is None
    assert provider.told == [("declined", WebhookFault.ONCE), ("succeeded", WebhookFault.ONCE)]


def faulty_run(path: Path, seed: int, calls: int) -> tuple[list[str], Counter[str], Counter[str]]:
    """Make calls with 100 keys to a provider where each call fails; returns responses, counts, and books by status."""

    async def calling(_loop: VirtualLoop) -> tuple[list[str], Counter[str], Counter[str]]:
        provider = SimulatedProvider(path)
        provider.run_inline()
        simulation = provider.simulation(Rules(faults=FaultPlan(rate=1.0, seed=seed)), send_nothing)
        replies = [await simulation.charge(command(f"att_{key}")) for key in range(100) for _ in range(calls)]
        answers = [one.outcome if isinstance(one, Operation) else one.name for one in replies]
        await simulation.close()
        found = answers, simulation.counts, await booked(simulation)
        provider.database.close()
        return found

    return run(calling)


def test_the_same_seed_brings_the_same_faults_about(tmp_path: Path) -> None:
    one, again, other = [faulty_run(tmp_path / f"{run}.db", seed, 4) for run, seed in enumerate((1, 1, 2))]
    assert one[:2] == again[:2]
    assert one[:2] != other[:2]
    # Every kind of fault came; what was called again came through, and was charged once.
    assert set(one[1]) == {fault.name.lower() for fault in Fault} - {"none"}
    assert one[0][3::4] == ["succeeded"] * 100
    assert one[2] == {"succeeded": 100}


class SlowBooks:
    """Books that take time to commit, on a virtual clock."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.asked_at: list[float] = []

    async def submit(self, _action: object, request: BookCharge) -> Booked:
        self.asked_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.seconds)
        return Booked(_new_charge(request, NOW), request.payment_method, first=True)


@pytest.mark.parametrize(
    ("books_seconds", "answered_at"), [(0.0, 1.0), (0.3, 1.0), (0.7, 1.2)], ids=["at once", "in time", "too late"]
)
def test_the_latency_is_from_call_to_answer_and_what_the_books_take_is_in_it(
    books_seconds: float, answered_at: float
) -> None:
    books = SlowBooks(books_seconds)

    async def call(loop: VirtualLoop) -> float:
        await Simulation(books, Rules(latency_ms=1000)).charge(command())  # type: ignore[arg-type]
        return loop.time()

    assert run(call) == pytest.approx(answered_at)
    assert books.asked_at == [0.5]  # A crash of the caller can fall before it is booked, and after.
