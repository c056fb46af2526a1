"""Puts a mutant into the code that is loaded, or loads the code with it, and runs tests against it.

A mistake inside a function takes that function's place in a process that has loaded everything; a mistake in what is
carried out on import is loaded by a process that has loaded only libraries.
"""

import gc
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Final, NamedTuple

import hypothesis
import pytest

from tests.mutation.forks import Verdict, limit_seconds, run_forked
from tests.mutation.measuring import KEPT_IN
from tests.mutation.mistakes import ROOT, Mutant

# Libraries are loaded before pytest is, whose warning of it says nothing here.
OPTIONS: Final = (
    "-q",
    "-n0",
    "-p",
    "no:cacheprovider",
    "-o",
    "timeout=0",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
)
LIMIT_SECONDS: Final = 10.0  # Beside processes that burn all cores.
LIMIT_TIMES: Final = 10
FOLDER: Final = KEPT_IN / "running"


class Job(NamedTuple):
    """A mutant, and the tests against it, in their order, each with the seconds that it takes without the mistake."""

    mutant: Mutant
    tests: Mapping[str, float]
    on_postgresql: bool = False

    def seconds_max(self) -> float:
        """How long the whole may take: each test has a limit of its own besides."""
        return 6 * LIMIT_SECONDS + LIMIT_TIMES * sum(self.tests.values())


class _Plugin:
    """What all runs have in common: files in the mutant's own folder, and the same examples each time."""

    def __init__(self) -> None:
        self.failed: str | None = None
        self.seconds: Mapping[str, float] = {}
        hypothesis.settings.register_profile("mutation", database=None, derandomize=True, deadline=None)
        hypothesis.settings.load_profile("mutation")

    @pytest.fixture
    def tmp_path(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            yield Path(folder)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        limit_seconds(LIMIT_SECONDS + LIMIT_TIMES * self.seconds.get(item.nodeid, 0.0))
        try:
            return (yield)
        finally:
            limit_seconds(0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.failed is None:
            self.failed = report.nodeid


class _Forking(_Plugin):
    """Collects all tests once; in place of their run, each mutant has a forked process that runs what it needs."""

    def __init__(self, jobs: Iterable[Job], told: Callable[[Job, Verdict], None], processes: int) -> None:
        super().__init__()
        self._jobs = jobs
        self._told = told
        self._processes = processes

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        functions = _functions()

        def run(job: Job) -> str | None:
            _put_in_place(job.mutant, functions)
            self.seconds = job.tests
            chosen = [items[test] for test in job.tests]
            for item, following in zip(chosen, [*chosen[1:], None], strict=True):
                item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
                if self.failed is not None:
                    return self.failed
            return None

        gc.freeze()
        for job, verdict in run_forked(self._jobs, run, Job.seconds_max, processes=self._processes, folder=FOLDER):
            self._told(job, verdict)
        return True


def run_in_functions(
    paths: Sequence[str], jobs: Sequence[Job], told: Callable[[Job, Verdict], None], *, processes: int
) -> None:
    """Run mutants whose mistake is in a function that is not called on import."""
    plugin = _Forking(jobs, told, processes)
    with suppress(Warning):  # Of what the forked processes have left behind, when pytest itself ends.
        status = pytest.main([*OPTIONS, "-k", "not postgresql", *paths], plugins=[plugin])
        assert status in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED), f"pytest ended with {status!r}"


def run_on_import(
    libraries: Iterable[str], jobs: Sequence[Job], told: Callable[[Job, Verdict], None], *, processes: int
) -> None:
    """Run mutants whose mistake shows on import; nothing of ours but this folder may be loaded yet."""
    for library in libraries:
        with suppress(ImportError):
            importlib.import_module(library)
    loaded = [name for name in sys.modules if name == "paidonce" or name.startswith("paidonce.")]
    assert not loaded, f"already loaded: {loaded}"

    def run(job: Job) -> str | None:
        plugin = _Plugin()
        plugin.seconds = job.tests
        if job.on_postgresql:
            tempfile.tempdir = None  # The server belongs to another user, who cannot enter the mutant's own folder.
        sys.meta_path.insert(0, _Finder(job.mutant))
        try:
            status = pytest.main([*OPTIONS, "-x", *job.tests], plugins=[plugin])
            if status is pytest.ExitCode.USAGE_ERROR:  # A test is not found: the mistake is in what names its cases.
                files = dict.fromkeys(test.partition("::")[0] for test in job.tests)
                status = pytest.main([*OPTIONS, "-x", "-k", "not postgresql", *files], plugins=[plugin])
        except Warning as warning:  # Of what a test has left behind, when pytest itself ends.
            return plugin.failed or f"{type(warning).__name__} at the end"
        return plugin.failed or (None if status is pytest.ExitCode.OK else "nothing could be imported")

    for job, verdict in run_forked(jobs, run, Job.seconds_max, processes=processes, folder=FOLDER):
        told(job, verdict)


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from its source with a mistake."""

    def __init__(self, name: str, mutant: Mutant) -> None:
        super().__init__(name, str(ROOT / mutant.path))
        self._source = mutant.source()

    def get_code(self, fullname: str) -> CodeType:
        del fullname
        code: CodeType = compile(self._source, self.path, "exec")
        return code


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        parts = Path(mutant.path).relative_to("src").with_suffix("").parts
        self._name = ".".join(parts).removesuffix(".__init__")
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname != self._name:
            return None
        loader = _Loader(fullname, self._mutant)
        return importlib.util.spec_from_file_location(fullname, loader.path, loader=loader)


Functions = dict[tuple[str, str], list[FunctionType]]


def _functions() -> Functions:
    """Find every function that is loaded from our source, by file and qualified name."""
    found: Functions = {}
    gc.unfreeze()  # What is preloaded for forked processes is frozen, and so would not be found.
    for one in gc.get_objects():
        if isinstance(one, FunctionType) and "<locals>" not in one.__code__.co_qualname:
            path = Path(one.__code__.co_filename)
            if path.is_relative_to(ROOT):
                found.setdefault((str(path.relative_to(ROOT)), one.__code__.co_qualname), []).append(one)
    return found


def _put_in_place(mutant: Mutant, functions: Functions) -> None:
    new = next(_codes(compile(mutant.source(), str(ROOT / mutant.path), "exec"), mutant.function), None)
    places = functions[mutant.path, mutant.function]
    assert new is not None, f"{mutant.function} is gone"
    for place in places:
        # A mistake may leave out ``super()``, and with it the variable that the function in this place is bound to.
        place.__code__ = new.replace(co_freevars=place.__code__.co_freevars)


def _codes(code: CodeType, name: str) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_qualname == name:
                yield constant
            yield from _codes(constant, name)
