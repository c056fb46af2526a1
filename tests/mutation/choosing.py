"""Which tests are run against a mutant: those that run its line, the nearest and quickest first."""

import hashlib
import re
import tomllib
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from tests.mutation.mistakes import ROOT, Mutant

# Of what all tests together take, so that it is the same on a machine that does other work: some hundreds of tests.
SHARE_MAX: Final = 0.2
TEST_SHARE_MAX: Final = 0.1  # A test that takes longer proves more than one line.
ON_POSTGRESQL: Final = Path(__file__).with_name("postgresql.toml")


class Lines:
    """What covering.py has written down."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.seconds: dict[str, float] = content["seconds"]
        self._all = sum(self.seconds.values())
        self.libraries: list[str] = content["libraries"]
        self._files: dict[str, dict[int, set[str]]] = {
            file: {int(line): set(tests) for line, tests in lines.items()} for file, lines in content["files"].items()
        }
        self._on_postgresql: dict[str, dict[str, list[str]]] = tomllib.loads(ON_POSTGRESQL.read_text())
        self._sources = {file: (ROOT / file).read_text().splitlines() for file in self._files}
        self._hashes: dict[str, str] = {}
        self._named: dict[str, tuple[set[str], set[tuple[str, str]]]] = {}

    def tests_on_postgresql(self, mutant: Mutant) -> list[str]:
        """Name the tests on PostgreSQL that are run first against a mutant which SQLite may not show."""
        names = self._on_postgresql.get(mutant.path, {})
        return [test for name in mutant.names for test in names.get(name, ())]

    def is_run_on_import(self, mutant: Mutant) -> bool:
        """Whether the mistake shows while modules are imported: then they must be imported anew."""
        return mutant.on_import or "" in self._covering(mutant.path, mutant.lines)

    def tests(self, mutant: Mutant) -> list[str]:
        """Choose the tests against a mutant, in the order in which to run them."""
        found = self._covering(mutant.path, mutant.lines)
        if mutant.on_import or found == {""} or self._is_compiled_once(mutant):
            found = found | self._naming(mutant.path, mutant.names)
        folder = Path(mutant.path).relative_to("src/paidonce").with_suffix("").parts[0]

        def order(test: str) -> tuple[bool, float]:
            return not test.startswith((f"tests/unit/{folder}/", f"tests/unit/test_{folder}.py")), self.seconds[test]

        quick = [test for test in found & self.seconds.keys() if self.seconds[test] < TEST_SHARE_MAX * self._all]
        quick.sort(key=order)
        spent = accumulate(self.seconds[test] for test in quick)
        return [test for test, seconds in zip(quick, spent, strict=True) if seconds < SHARE_MAX * self._all]

    def state_of(self, tests: Iterable[str]) -> str:
        """Sum up which tests these are and what their files say: where that changes, a survivor is tried again."""
        tests = sorted(tests)
        files = sorted({test.partition("::")[0] for test in tests})
        return hashlib.sha256("\0".join([*tests, *map(self._hash, files)]).encode()).hexdigest()[:16]

    def _hash(self, file: str) -> str:
        if file not in self._hashes:
            self._hashes[file] = hashlib.sha256((ROOT / file).read_bytes()).hexdigest()
        return self._hashes[file]

    def _covering(self, file: str, lines: Iterable[int]) -> set[str]:
        covered = self._files.get(file, {})
        return {test for line in lines for test in covered.get(line, ())}

    def _is_compiled_once(self, mutant: Mutant) -> bool:
        """Whether this function makes a ``Statement``: only the first test that needs the statement runs it."""
        if not mutant.function:
            return False
        made = re.compile(rf"\bStatement\(.*\b{re.escape(mutant.names[0])}\b")
        return any(made.search(line) for line in self._sources.get(mutant.path, ()))

    def _naming(self, file: str, names: Iterable[str]) -> set[str]:
        """Find the tests that run a line which names one of these, or a constant that is made of one.

        A private name is looked for in its own file alone.
        """
        found: set[str] = set()
        seen: set[tuple[str, str]] = set()
        wanted = {(file, name) for name in names}
        while wanted:
            place = wanted.pop()
            if place not in seen:
                seen.add(place)
                tests, bound = self._named_directly(*place)
                found |= tests
                wanted |= bound
        return found

    def _named_directly(self, file: str, name: str) -> tuple[set[str], set[tuple[str, str]]]:
        """Return the tests that run a line with this name, and the names that are bound on lines that no test runs."""
        key = f"{file}:{name}" if name.startswith("_") else name
        if key not in self._named:
            self._named[key] = self._look_for(file, name)
        return self._named[key]

    def _look_for(self, file: str, name: str) -> tuple[set[str], set[tuple[str, str]]]:
        word = re.compile(rf"\b{re.escape(name)}\b")
        found: set[str] = set()
        bound: set[tuple[str, str]] = set()
        for path in [file] if name.startswith("_") else self._sources:
            statement = ""
            for number, line in enumerate(self._sources.get(path, ()), start=1):
                if line[:1] not in ("", " ", ")", "]", "}", "#"):
                    match = re.match(r"(?:class |def |async def )?(\w+)", line)
                    statement = match[1] if match else ""
                if word.search(line):
                    running = self._covering(path, [number]) - {""}
                    found |= running
                    if not running and statement not in ("", "from", "import"):
                        bound.add((path, statement))
        return found, bound
