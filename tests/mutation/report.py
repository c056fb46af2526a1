"""What is told of a run: a table by folder, and each survivor as the lines that differ."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.mutation.forks import Verdict
from tests.mutation.mistakes import Mutant

EQUIVALENT: Final = Path(__file__).with_name("equivalent.toml")
COLUMNS: Final = ("caught", "survived", "timed out", "equivalent")
# How much must be noticed of what can move money or show it to somebody else, and of the rest.
GUARDS: Final = frozenset({"payments", "checkouts", "idempotency", "users"})
MARK_OF_GUARDS: Final = 0.9
MARK: Final = 0.8


class Equivalent(NamedTuple):
    """A mutant that changes nothing that anybody is promised; equivalent.toml tells the reason."""

    file: str
    function: str
    change: str


def known_equivalents() -> set[Equivalent]:
    """Read the list of mutants that need no test."""
    entries = tomllib.loads(EQUIVALENT.read_text()).get("equivalent", [])
    assert all(entry["reason"] for entry in entries), "each has its reason"
    return {Equivalent(entry["file"], entry["function"], entry["change"].strip()) for entry in entries}


def equivalent_of(mutant: Mutant) -> Equivalent:
    """Describe a mutant as it would stand in the list."""
    return Equivalent(mutant.path, mutant.function, "\n".join(mutant.diff()))


def table(verdicts: Mapping[str, Sequence[Verdict]]) -> Iterator[str]:
    """Draw the table by folder, in Markdown."""
    yield "| folder | mutants | caught | survived | timed out | equivalent | noticed | mark |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    everything = [verdict for found in verdicts.values() for verdict in found]
    for folder, found in [*verdicts.items(), ("all", everything)]:
        counts = [sum(verdict.status == column for verdict in found) for column in COLUMNS]
        caught, survived, late, _ = counts
        share = f"{(caught + late) / (caught + late + survived):.1%}" if caught + late + survived else "–"
        mark = MARK_OF_GUARDS if folder in GUARDS else MARK
        yield f"| {folder} | {len(found)} | {' | '.join(map(str, counts))} | {share} | {mark:.0%} |"


def told(survivors: Iterable[tuple[Mutant, Verdict]]) -> Iterator[str]:
    """Tell each survivor: where it is, what differs, and what ran it."""
    for mutant, verdict in survivors:
        name = mutant.function or ", ".join(mutant.names)
        yield f"{mutant.path}:{mutant.line} {name} ({verdict.by or verdict.status})"
        yield from (f"    {line}" for line in mutant.diff())
