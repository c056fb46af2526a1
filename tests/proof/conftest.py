"""Fixtures of the proof. The quick part runs in ``make test``, the long one in ``make prove``."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest

from tests.proof.fork_client import ForkServer, fork_server
from tests.proof.part import Part


@pytest.fixture(scope="session")
def part() -> Part:
    """Return which part runs: a sample, or everything with ``PAIDONCE_PROOF=long``."""
    return Part(os.environ.get("PAIDONCE_PROOF", "quick"))


@pytest.fixture(scope="session")
def seed(testrun_uid: str) -> int:
    """The seed of a run, the same in all of its processes: ``TEST_SEED=…``."""
    return int(os.environ.get("TEST_SEED") or int(testrun_uid[:8], 16))


@pytest.fixture
def chance(seed: int) -> Random:
    """A random number generator with the seed."""
    return Random(seed)


@pytest.fixture(scope="session")
def warm() -> Iterator[ForkServer]:
    """Share a fork server whose children have imported paidonce."""
    with fork_server() as parent:
        yield parent


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Report a figure, in the output of the test and at the end of the session."""

    def say(figure: str) -> None:
        record_property("figure", figure)
        sys.stdout.write(figure + "\n")

    return say


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of the proof."""
    figures = [
        value
        for reports in terminalreporter.stats.values()
        for one in reports
        if getattr(one, "when", "") == "call"
        for name, value in one.user_properties
        if name == "figure"
    ]
    if figures:
        terminalreporter.section("the proof")
        for figure in sorted(set(figures)):
            terminalreporter.line(figure)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """Provide a folder in memory, for tests in which processes crash and the machine does not."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(prefix="paidonce-", dir=shared) as folder:
        yield Path(folder)
