"""How long a payment may take to end in a proof: the worst case of the fault plan, with the real worker."""

import asyncio
from pkgutil import iter_modules

import click
import msgspec
import pytest

import paidonce.proving.doubles
from paidonce.checkouts.model import ProviderRoute
from paidonce.cli.proof_commands import prove
from paidonce.payments.attempt_queue import WorkerSettings
from paidonce.payments.providers import PaymentProviders
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.worker import PaymentWorker
from paidonce.providers.base import ChargeRequest, Modification
from paidonce.providers.evidence import Evidence
from paidonce.providers.simulator.faults import Fault, FaultPlan
from paidonce.proving.kits import KITS
from paidonce.proving.plan import (
    FAULTY_CALLS_MAX,
    LEASE_SECONDS,
    POLL_SECONDS,
    PROVIDER_TIMEOUT_SECONDS,
    SCHEDULE,
    longest_fault_seconds,
)
from tests.proof.fake_provider import FakeOutcome, FakeProvider
from tests.proof.simulation import Rows, Start, _kill, _new_attempt, start as begin
from tests.proof.virtual_time import VirtualLoop, run

SETTINGS = WorkerSettings(
    lease_seconds=LEASE_SECONDS,
    provider_timeout_seconds=PROVIDER_TIMEOUT_SECONDS,
    provider_concurrency=10,
    poll_seconds=POLL_SECONDS,
    schedule=SCHEDULE,
)


class SilentProvider(FakeProvider):
    """Answers none of the first calls and look-ups of a key, and the others at the last moment."""

    silent_calls = silent_look_ups = FAULTY_CALLS_MAX

    async def charge(self, request: ChargeRequest) -> Evidence:
        self.silent_calls -= 1
        if self.silent_calls >= 0:
            await asyncio.Event().wait()
        return await super().charge(request)

    async def look_up(self, request: ChargeRequest | Modification) -> Evidence:
        self.silent_look_ups -= 1
        if self.silent_look_ups >= 0:
            await asyncio.Event().wait()
        return await super().look_up(request)


def seconds_to_the_end(schedule: LookupSchedule, *, dies_after: float | None = None) -> float:
    """Run a payment with every possible fault; its first worker may be killed too."""

    async def pay(loop: VirtualLoop) -> float:
        async def start() -> PaymentWorker:
            worker = PaymentWorker(
                rows,  # type: ignore[arg-type]
                rows,  # type: ignore[arg-type]
                PaymentProviders({provider.name: provider}),
                msgspec.structs.replace(SETTINGS, schedule=schedule),
                clock=loop.clock,
                chance=lambda: 1.0,
                settled=lambda checkout_id, _: ended.append(checkout_id),
            )
            await worker.start(alone=False)
            return worker

        ended: list[str] = []
        latency = 0.45 * PROVIDER_TIMEOUT_SECONDS
        provider = SilentProvider(loop.clock, lambda: FakeOutcome.WELL, latency=lambda: latency / 2)
        rows = Rows(loop.clock)
        workers = [await start()]
        attempt = _new_attempt(0, loop.clock())
        await workers[0].begin(begin, Start(attempt), ProviderRoute(provider.name))
        if dies_after is not None:
            await asyncio.sleep(dies_after)
            await _kill(workers[0])
            workers.append(await start())
        while rows.attempts[attempt.id].status != "SUCCEEDED":  # noqa: ASYNC110 - it ends by the clock
            await asyncio.sleep(0.01)
        took = loop.time()
        await _kill(workers[-1])
        return took

    return run(pay)


def test_only_so_many_calls_and_look_ups_of_a_key_can_go_wrong_whatever_the_seed() -> None:
    for seed in range(50):
        plan = FaultPlan(rate=1.0, seed=seed, faulty_calls_max=FAULTY_CALLS_MAX)
        for draw in (plan.for_call, plan.for_lookup):
            dealt = [draw(f"att_{seed}", number).fault is not Fault.NONE for number in range(1, 20)]
            assert dealt == [True] * FAULTY_CALLS_MAX + [False] * (19 - FAULTY_CALLS_MAX)


def test_every_fault_that_there_is_keeps_a_payment_no_longer_than_the_longest_fault() -> None:
    took = seconds_to_the_end(SCHEDULE)
    # The bound is no idle one: what is left of it is the polls that were not needed, and the last answer's haste.
    assert longest_fault_seconds() - 2 * FAULTY_CALLS_MAX * POLL_SECONDS - 1 < took <= longest_fault_seconds()


@pytest.mark.parametrize("dies_after", [0.01, 0.5, 1.2, 3.0, 5.5])
def test_a_worker_that_dies_besides_costs_its_lease_and_no_more(dies_after: float) -> None:
    assert seconds_to_the_end(SCHEDULE, dies_after=dies_after) <= 2 * LEASE_SECONDS + longest_fault_seconds()


def test_with_the_delays_that_a_proof_once_had_bad_luck_took_longer_than_the_proof_allowed() -> None:
    """Five unknown answers in a row, and 14 seconds to the sixth: more than the ten that were allowed then."""
    allowed_then = 2 * LEASE_SECONDS + PROVIDER_TIMEOUT_SECONDS + 5
    assert seconds_to_the_end(LookupSchedule(first_seconds=0.02)) > allowed_then


def test_the_command_knows_every_provider_that_can_be_proven_and_each_has_a_double() -> None:
    (option,) = [one for one in prove.params if one.name == "provider"]
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == list(KITS)
    doubles = {one.name for one in iter_modules(paidonce.proving.doubles.__path__) if one.ispkg}
    assert doubles >= {name for name in KITS if name != "simulator"}
