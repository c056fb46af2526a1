"""Thousands of payments on a virtual clock: workers die, the provider is sick, and all is well in the end."""

import os
import time
from collections.abc import Callable
from random import Random

import pytest

from tests.proof.fake_provider import CAPABILITIES, DEDUPLICATES_NOT
from tests.proof.part import Part
from tests.proof.simulation import simulate

PAYMENTS = 1500


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("capabilities", [CAPABILITIES, DEDUPLICATES_NOT], ids=["deduplicates", "does not"])
def test_every_payment_ends_and_none_is_charged_twice_in_any_seeded_run(
    capabilities: object, chance: Random, part: Part, report: Callable[[str], None]
) -> None:
    assert isinstance(capabilities, type(CAPABILITIES))
    told = os.environ.get("PAIDONCE_SIMULATION_SEED")
    seeds = [int(told)] if told else [chance.randrange(2**32) for _ in range(40 if part is Part.LONG else 2)]
    began = time.monotonic()
    kills = payments = 0
    for seed in seeds:
        outcome = simulate(seed, payments=PAYMENTS, capabilities=capabilities)
        assert outcome.wrong == [], f"PAIDONCE_SIMULATION_SEED={seed} repeats this: {outcome}"
        kills += outcome.kills
        payments += outcome.payments
    seconds = time.monotonic() - began
    report(
        f"simulation: {payments} payments ({payments / seconds:.0f} a second), {kills} kills, {seconds:.1f} s, "
        f"the provider deduplicates: {capabilities.charge.key_lifetime_seconds > 0}, first seed {seeds[0]}"
    )


def test_a_seed_repeats_its_run_to_the_last_call() -> None:
    assert simulate(7, payments=300) == simulate(7, payments=300)
    assert simulate(7, payments=300) != simulate(8, payments=300)
