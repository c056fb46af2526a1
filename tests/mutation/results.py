"""What is known of mutants from earlier runs: who caught each, or which tests it survived."""

import json
from pathlib import Path
from typing import Any, Final

from tests.mutation.choosing import Lines
from tests.mutation.forks import Verdict

KEPT: Final = 20  # Written after so many mutants: a run that is stopped goes on from there.


class Results:
    """The cache. A mutant's key changes with its function; what a survivor met is known by the state of its tests."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, list[str]] = json.loads(path.read_text()) if path.exists() else {}
        self._unwritten = 0

    def find(self, key: str, lines: Lines, tests: list[str]) -> Verdict | None:
        """Return what is known, if it still holds: the test is still there, or a survivor's tests are the same."""
        if key not in self._known:
            return None
        status, by, state = self._known[key]
        if status == "caught":
            return Verdict(status, by) if by in lines.seconds or by in tests or "::" not in by else None
        return Verdict(status, by) if state == lines.state_of(tests) else None

    def note(self, key: str, verdict: Verdict, state: str) -> None:
        """Note what became of a mutant."""
        self._known[key] = [verdict.status, verdict.by, state]
        self._unwritten += 1
        if self._unwritten >= KEPT:
            self.write()

    def write(self) -> None:
        """Write down all that is known."""
        self._unwritten = 0
        written: Any = json.dumps(self._known)
        temporary = self._path.with_suffix(".new")
        temporary.write_text(written)
        temporary.replace(self._path)
