"""What is done at the simulated provider without a call: what is booked, and what its webhook tells."""

import asyncio
from pathlib import Path
from typing import Final, Literal

import httpx
import msgspec
import pytest

from paidonce.clock import format_instant, system_clock
from paidonce.providers.evidence import (
    AuthorizationEnded,
    Authorized,
    Dispute,
    ExternalChange,
    ExternalRefund,
    Notice,
    Succeeded,
)
from paidonce.providers.simulator.behaviour import LATE_FAILURE_MS
from paidonce.providers.simulator.books import ChargePage
from paidonce.providers.simulator.calls import Rules
from paidonce.providers.simulator.dashboard_books import ChangeInDashboard
from paidonce.providers.simulator.notices import NoticeReader
from paidonce.providers.simulator.server import create_simulator_app
from paidonce.providers.simulator.simulation import Simulation
from paidonce.providers.simulator.wire import ChangeBody, DashboardChange, Operation, change_of, evidence_of
from tests.proof.virtual_time import VirtualLoop, run
from tests.support.provider_process import SECRET, signed
from tests.support.simulated_provider import NOW, SimulatedProvider
from tests.unit.providers.simulator.test_simulation import command


async def charged(simulation: Simulation, method: str = "tok_success", *, capture: bool = True) -> str:
    charge = await simulation.charge(command(method=method, capture=capture))
    assert isinstance(charge, Operation)
    return charge.reference


async def refunded(simulation: Simulation) -> int:
    (line,) = await simulation.charges(ChargePage())
    return line.amount_refunded


async def test_a_refund_of_the_dashboard_is_booked_and_told_until_nothing_is_left(provider: SimulatedProvider) -> None:
    simulation = provider.simulation(Rules())
    reference = await charged(simulation)
    made = await simulation.change_in_dashboard(
        ChangeInDashboard(kind="refund", charge_reference=reference, amount=400)
    )
    assert isinstance(made, DashboardChange)
    assert change_of(made) == ExternalRefund(made.reference, "succeeded", 400, "USD")
    assert (made.charge_key, made.charge_reference, await refunded(simulation)) == ("att_1", reference, 400)
    ours = await simulation.change("REFUND", reference, ChangeBody(key="refund", amount=601))
    assert isinstance(ours, Operation)
    assert ours.decline_code == "amount_exceeds_charge"
    rest = ChangeInDashboard(kind="refund", charge_reference=reference)
    assert await simulation.change_in_dashboard(rest) is not None
    assert await simulation.change_in_dashboard(rest) is None
    assert await refunded(simulation) == 1000
    assert [outcome for outcome, _ in provider.told] == ["succeeded", "succeeded", "declined", "succeeded"]


async def test_a_refund_that_fails_is_given_back_and_told_whoever_made_it(provider: SimulatedProvider) -> None:
    simulation = provider.simulation(Rules())
    reference = await charged(simulation)
    made = await simulation.change_in_dashboard(
        ChangeInDashboard(kind="refund", charge_reference=reference, amount=400)
    )
    ours = await simulation.change("REFUND", reference, ChangeBody(key="refund", amount=300))
    assert isinstance(made, DashboardChange)
    assert isinstance(ours, Operation)
    failed = await simulation.fail_refund(made.reference)
    assert isinstance(failed, DashboardChange)
    assert change_of(failed) == ExternalRefund(made.reference, "failed", 400, "USD", "expired_card", "expired_card")
    told = await simulation.fail_refund(ours.reference)
    assert isinstance(told, Operation)
    assert (told.key, told.reference, told.outcome) == ("refund", ours.reference, "declined")
    assert await refunded(simulation) == 0
    assert await simulation.fail_refund(ours.reference) is None


async def test_a_refund_that_fails_late_is_told_as_succeeded_first(provider: SimulatedProvider) -> None:
    simulation = provider.simulation(Rules())
    reference = await charged(simulation, "tok_refund_fails_late")
    ours = await simulation.change("REFUND", reference, ChangeBody(key="refund", amount=300))
    assert isinstance(ours, Operation)
    assert ours.outcome == "succeeded"
    provider.now += 3000
    later = await simulation.look_up("refund")
    assert isinstance(later, Operation)
    assert (later.outcome, later.decline_code, later.reference) == ("declined", "expired_card", ours.reference)
    assert await refunded(simulation) == 0
    await simulation.close()


ENDED: Final[list[tuple[Literal["cancel", "expire"], Literal["canceled", "expired"]]]] = [
    ("cancel", "canceled"),
    ("expire", "expired"),
]


@pytest.mark.parametrize(("kind", "reason"), ENDED)
async def test_an_authorization_that_ends_in_the_dashboard_holds_nothing_and_a_void_says_so(
    provider: SimulatedProvider, kind: Literal["cancel", "expire"], reason: Literal["canceled", "expired"]
) -> None:
    simulation = provider.simulation(Rules())
    reference = await charged(simulation, capture=False)
    wanted = ChangeInDashboard(kind=kind, charge_reference=reference)
    ended = await simulation.change_in_dashboard(wanted)
    assert isinstance(ended, DashboardChange)
    assert change_of(ended) == AuthorizationEnded(reason)
    assert await simulation.change_in_dashboard(wanted) is None
    void = await simulation.change("VOID", reference, ChangeBody(key="void", amount=1000))
    assert isinstance(void, Operation)
    assert isinstance(evidence_of(void), Succeeded)
    capture = await simulation.change("CAPTURE", reference, ChangeBody(key="capture", amount=1000))
    assert isinstance(capture, Operation)
    assert capture.decline_code == "charge_is_voided"


async def test_an_authorization_is_captured_only_before_it_lapses(provider: SimulatedProvider) -> None:
    simulation = provider.simulation(Rules())
    held = await simulation.charge(command(method="tok_capture_within_60", capture=False))
    assert isinstance(held, Operation)
    assert held.capture_before == format_instant(NOW + 60_000)
    evidence = evidence_of(held)
    assert isinstance(evidence, Authorized)
    assert evidence.capture_before == NOW + 60_000
    provider.now += 60_000
    late = await simulation.change("CAPTURE", held.reference, ChangeBody(key="capture", amount=1000))
    assert isinstance(late, Operation)
    assert late.decline_code == "authorization_expired"
    void = await simulation.change("VOID", held.reference, ChangeBody(key="void", amount=1000))
    assert isinstance(void, Operation)
    assert void.outcome == "succeeded"


async def test_over_http_charges_are_disputed_and_disputes_decided(provider: SimulatedProvider) -> None:
    simulation = provider.simulation(Rules())
    reference = await charged(simulation)
    transport = httpx.ASGITransport(create_simulator_app(simulation))
    async with httpx.AsyncClient(transport=transport, base_url="http://simulator.test") as http:
        opened = await http.post(f"/dashboard/charges/{reference}/dispute", json={"amount": 700, "reason": "unknown"})
        disputed = opened.json()["reference"]
        lost = await http.post(f"/dashboard/disputes/{disputed}/lost")
        wrong = [
            await http.post(f"/dashboard/charges/{reference}/cancel", json={}),
            await http.post("/dashboard/charges/ch_none/refund", json={}),
            await http.post("/dashboard/disputes/dp_none/won"),
            await http.post("/dashboard/refunds/cg_none/fail"),
            await http.post(f"/dashboard/disputes/{disputed}/drawn"),
            await http.post(f"/dashboard/charges/{reference}/frame", json={}),
            await http.post(f"/dashboard/charges/{reference}/refund", content=b"{"),
        ]
    assert (opened.status_code, lost.status_code) == (200, 200)
    assert [answer.status_code for answer in wrong] == [409, 409, 409, 409, 404, 404, 400]
    told = [change_of(one) for one in provider.sent if isinstance(one, DashboardChange)]
    assert told == [Dispute(disputed, status, 700, "USD", "unknown") for status in ("opened", "lost")]


@pytest.mark.parametrize(
    ("subject", "outcome", "change"),
    [
        ("refund", "succeeded", ExternalRefund("re_1", "succeeded", 400, "USD")),
        ("refund", "failed", ExternalRefund("re_1", "failed", 400, "USD", "expired_card", "expired_card")),
        ("dispute", "won", Dispute("re_1", "won", 400, "USD", "expired_card")),
        ("authorization", "expired", AuthorizationEnded("expired")),
        ("authorization", "won", None),
    ],
)
def test_a_webhook_of_the_dashboard_names_the_charge_by_our_key_and_its_reference(
    subject: str, outcome: str, change: ExternalChange | None
) -> None:
    data = {"subject": subject, "outcome": outcome, "reference": "re_1", "chargeKey": "att_1", "amount": 400}
    data |= {"chargeReference": "ch_1", "currency": "USD", "reason": "expired_card"}
    body = msgspec.json.encode({"type": f"dashboard.{subject}.{outcome}", "timestamp": "now", "data": data})
    read = NoticeReader(SECRET, clock=system_clock).read(signed(body, message_id="msg_1"), body)
    assert read == Notice("msg_1", "att_1", change, "ch_1")


def test_the_failure_of_a_refund_is_told_after_its_success(tmp_path: Path) -> None:
    async def story(_loop: VirtualLoop) -> list[str]:
        provider = SimulatedProvider(tmp_path / "books.db")
        provider.run_inline()
        simulation = provider.simulation(Rules())
        reference = await charged(simulation, "tok_refund_fails_late")
        await simulation.change("REFUND", reference, ChangeBody(key="refund", amount=300))
        provider.now += LATE_FAILURE_MS
        await asyncio.sleep(2 * LATE_FAILURE_MS / 1000)
        await simulation.close()
        provider.database.close()
        return [outcome for outcome, _ in provider.told]

    assert run(story) == ["succeeded", "succeeded", "declined"]
