"""Which tests are run against a mutant: those that run its line, the nearest and quickest first."""

import ast
import hashlib
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from tests.mutation.mistakes import ROOT, Mutant

# Of what all tests together take, so that it is the same on a machine that does other work.
SHARE_MAX: Final = 0.02
TEST_SHARE_MAX: Final = 0.1  # A test that takes longer proves more than one line.
# Runs no line of what a call declares, and compares all of it.
OF_DECLARATIONS: Final = "tests/unit/http/test_openapi.py::test_calls_answers_and_fields_are_those_that_clients_know"
ON_POSTGRESQL: Final = Path(__file__).with_name("postgresql.toml")

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


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
        self._sources = {file: (ROOT / file).read_text() for file in self._files if file.endswith(".py")}
        self._statements = {file: _Statements(source) for file, source in self._sources.items()}
        self._words = _index(self._sources)
        self._tests_of: defaultdict[str, list[str]] = defaultdict(list)
        for test in self.seconds:
            self._tests_of[test.partition("::")[0]].append(test)
        self._test_words = {file: set(re.findall(r"\w+", (ROOT / file).read_text())) for file in self._tests_of}
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
        found = dict.fromkeys(self._covering(mutant.path, mutant.lines), 0)
        is_compiled_once = self._is_compiled_once(mutant)
        if mutant.on_import or found.keys() <= {""} or is_compiled_once:
            found = self._naming(mutant.path, mutant.names) | found
        if mutant.on_import and mutant.path.endswith(("http.py", "schemas.py")):
            found[OF_DECLARATIONS] = -1
        folder = Path(mutant.path).relative_to("src/paidonce").with_suffix("").parts[0]

        def order(test: str) -> tuple[bool, int, bool, float]:
            is_far = not test.startswith((f"tests/unit/{folder}/", f"tests/unit/test_{folder}.py"))
            # Whichever test runs first compiles a statement, however far and slow it is.
            return is_compiled_once and is_far, found[test], is_far, self.seconds[test]

        quick = [test for test in found.keys() & self.seconds.keys() if self.seconds[test] < TEST_SHARE_MAX * self._all]
        quick.sort(key=order)
        left = SHARE_MAX * self._all
        chosen = []
        for test in quick:  # A slow one that does not fit leaves its place to quick ones.
            if self.seconds[test] <= left:
                left -= self.seconds[test]
                chosen.append(test)
        return chosen

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
        """Whether this function takes part in making a ``Statement``: only the first test that needs the statement runs
        it.
        """
        name = mutant.function
        return any(
            number in self._statements[path].compiled
            for path, number in self._words.get(name, ())
            if path == mutant.path or not name.startswith("_")
        )

    def _naming(self, file: str, names: Iterable[str]) -> dict[str, int]:
        """Find the tests whose files name one of these, and those that run a function of one of these names, or a line
        that names one or what is made of one; and over how many names each is found. A private name is looked for in
        its own file alone.
        """
        public = {name for name in names if not name.startswith("_")}
        found = {
            test: 0 for place, words in self._test_words.items() if words & public for test in self._tests_of[place]
        }
        seen: set[tuple[str, str]] = set()
        wanted = {(file, name) for name in names}
        steps = 0
        while wanted:
            seen |= wanted
            named = [self._named_directly(*place) for place in wanted]
            found = dict.fromkeys((test for tests, _ in named for test in tests), steps) | found
            wanted = {place for _, bound in named for place in bound} - seen
            steps += 1
        return found

    def _named_directly(self, file: str, name: str) -> tuple[set[str], set[tuple[str, str]]]:
        """Return the tests that run a line with this name, and the names that are bound on lines that no test runs, or
        only the first of those that need it.
        """
        key = f"{file}:{name}" if name.startswith("_") else name
        if key not in self._named:
            self._named[key] = self._look_for(file, name)
        of_body = self._covering(file, self._statements[file].bodies.get(name, ())) - {""}
        tests, bound = self._named[key]
        return tests | of_body, bound

    def _look_for(self, file: str, name: str) -> tuple[set[str], set[tuple[str, str]]]:
        found: set[str] = set()
        bound: set[tuple[str, str]] = set()
        for path, number in self._words.get(name, ()):
            if path == file or not name.startswith("_"):
                running = self._covering(path, [number]) - {""}
                found |= running
                statements = self._statements[path]
                if number in statements.names and (not running or number in statements.compiled):
                    bound.add((path, statements.names[number]))
        return found, bound


class _Statements:
    """The statements of a module: what each line is part of, by the name that is bound, and the bodies of functions."""

    def __init__(self, source: str) -> None:
        lines = source.splitlines()
        self.compiled: set[int] = set()  # The lines of what is compiled once, where it is first executed.
        self.names: dict[int, str] = {}
        self.bodies: dict[str, list[int]] = {}
        places: dict[str, range] = {}
        statements: list[str] = []
        for node in ast.parse(source).body:
            match node:
                case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                    first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                    self.bodies[name] = [line for one in _functions(node) for line in _body(one)]
                case ast.Assign([ast.Name(name)]) | ast.AnnAssign(ast.Name(name)):
                    first = node.lineno
                case _:
                    continue
            own = range(first, (node.end_lineno or first) + 1)
            self.names |= dict.fromkeys(own, name)
            places[name] = own
            if any(re.search(r"\b(Statement|RowsInsert)\(", lines[number - 1]) for number in own):
                statements.append(name)
        while statements:  # And all that is named there, such as the functions that make them.
            own = places[statements.pop()]
            if own[0] not in self.compiled:
                self.compiled.update(own)
                words = {word for number in own for word in re.findall(r"\w+", lines[number - 1])}
                statements.extend(words & places.keys())


def _functions(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> list[_Function]:
    members = node.body if isinstance(node, ast.ClassDef) else [node]
    return [one for one in members if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]


def _body(node: _Function) -> range:
    return range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1)


def _index(sources: Mapping[str, str]) -> dict[str, list[tuple[str, int]]]:
    """Find the files and lines where each word stands."""
    words: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for path, source in sources.items():
        for number, line in enumerate(source.splitlines(), start=1):
            for word in set(re.findall(r"\w+", line)):
                words[word].append((path, number))
    return words
