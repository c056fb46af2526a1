"""Batches in a separate process: the same results as in a thread, and a value that cannot be pickled affects nothing
else.
"""

import json
import pickle
import subprocess
import sys
from inspect import signature
from typing import Any, Final

import pytest

from paidonce import errors
from paidonce.database.process import LOST_EXIT
from paidonce.errors import PaidonceError

SAMPLES: Final[dict[str, Any]] = {"str": "said", "str | None": "said", "int": 7, "float": 1.5, "bool": True}


def run_harness(database_url: str, how: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.unit.database.process_harness", database_url, how]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(params=["one thread", "lanes"])
def seen(database_url: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    run = run_harness(database_url, request.param)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def test_everybody_is_answered_from_the_other_process_and_what_cannot_cross_fails_alone(seen: dict[str, Any]) -> None:
    numbers = [n for n in range(40) if n != 13]
    assert seen["numbers"].pop(13) == "ActionFailed: IntegrityError: see the log"
    assert seen["numbers"] == numbers
    assert seen["kept"] == numbers + list(range(100, 160)) == numbers + seen["last"]  # All of it, to the last.
    assert seen["refused"][1] == ["amount"]
    assert "annot pickle" in seen["nameless"] or "an't pickle" in seen["nameless"], seen["nameless"]
    assert seen["in_other_process"]
    assert seen["notified_merchants"] == ["m0", "m1"]


def test_a_lane_that_fails_ends_both_processes(database_url: str) -> None:
    run = run_harness(database_url, "broken lanes")
    assert run.returncode == LOST_EXIT
    assert "writer_process_lost" in run.stdout


def kinds() -> list[type[PaidonceError]]:
    return [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, PaidonceError)]


@pytest.mark.parametrize("kind", kinds())
def test_an_error_is_the_same_in_another_process(kind: type[PaidonceError]) -> None:
    parameters = list(signature(kind).parameters.values())
    named = {one.name: SAMPLES.get(str(one.annotation), []) for one in parameters}
    by_position = [named.pop(one.name) for one in parameters if one.kind != one.KEYWORD_ONLY]
    error = kind(*by_position, **named)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), vars(again)) == (str(error), vars(error))
