"""The power fails under SQLite: what was acknowledged is there afterwards, and a weaker setting is found out."""

import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.proof.part import Part
from tests.proof.power_cuts import cut_the_power


@pytest.mark.timeout(3600)
def test_no_power_cut_loses_a_commit_that_was_acknowledged_or_half_of_one(
    memory: Path, chance: Random, seed: int, part: Part, report: Callable[[str], None]
) -> None:
    began = time.monotonic()
    tally = cut_the_power(memory, chance, cuts=10_000 if part is Part.LONG else 300)
    report(
        f"{tally.cuts} power cuts in {tally.commits} commits, {tally.lost} lost something, {tally.damaged} damaged the "
        f"file, {time.monotonic() - began:.1f} s, TEST_SEED={seed}"
    )
    assert (tally.lost, tally.damaged) == (0, 0)
