"""Each safeguard is taken out in turn, and a layer of the proof notices it; with all of them in, none does."""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.proof.crashes import Crashes
from tests.proof.fork_client import ForkServer, fork_server
from tests.proof.mutants import MUTANTS, Mutant, build

NEEDS_POSTGRESQL = {"races"}
REFUSAL = "refusal to start"


@pytest.fixture(scope="module")
def cold() -> Iterator[ForkServer]:
    """Lend a warm parent that has not imported paidonce: its children take it from where they are told."""
    with fork_server(hot=False) as parent:
        yield parent


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"without {mutant.without}")
def test_a_safeguard_that_is_taken_out_is_missed(
    mutant: Mutant, cold: ForkServer, memory: Path, request: pytest.FixtureRequest, report: Callable[[str], None]
) -> None:
    began = time.monotonic()
    on_postgresql = mutant.layer in NEEDS_POSTGRESQL
    urls = [request.getfixturevalue("postgres_url")] * 2 if on_postgresql else [f"file:{memory}/{n}.db" for n in "01"]
    assert noticed(mutant, cold, memory, urls[0], None) == []
    found = noticed(mutant, cold, memory, urls[1], build(mutant, memory / "source"))
    shown = f"{found[0][:110]} …" if found else "nothing"
    report(f"| {mutant.without} | {mutant.layer} | {shown} | {time.monotonic() - began:.1f} s |")
    assert found != [], f"nobody notices that {mutant.without} is not there"
    # A mutant that breaks down was not noticed by what it was built for.
    assert mutant.layer == REFUSAL or not any("child ended with" in one for one in found)


def noticed(mutant: Mutant, cold: ForkServer, folder: Path, url: str, source: Path | None) -> list[str]:
    """Put the source, or the mutant, to the layer; returns what it finds."""
    if mutant.layer == "power loss":
        where = folder / ("mutant" if source else "source-as-it-is")
        where.mkdir()
        return cold_answer(cold, "power_loss", source, folder=str(where), seed=1)
    if mutant.where:
        crashes = Crashes(cold, url, folder, lambda: nullcontext(""), source, mutant.deduplicates)
        crashes.crash(*mutant.where)
        return crashes.broken
    return cold_answer(cold, mutant.layer.replace(" ", "_"), source, url=url)


def cold_answer(cold: ForkServer, layer: str, source: Path | None, **arguments: object) -> list[str]:
    end = cold.fork(f"tests.proof.layers:{layer}", source=source, **arguments)
    found: list[str] = end.result if end.status == 0 else [f"the child ended with {end.status}"]
    return found
