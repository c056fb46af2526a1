"""Which test runs which line: a plugin of pytest that measures it once with coverage.py, also in forked processes.

Each worker of pytest-xdist writes a file of its own.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import coverage
import pytest

WORKER: Final = os.environ.get("PYTEST_XDIST_WORKER", "")
OUTPUT: Final = Path(os.environ["MUTATION_LINES"], f"measured{WORKER}.json")


class Covering:
    """Notes for each test how many seconds it took, and which lines of the source it ran."""

    def __init__(self) -> None:
        self._coverage = coverage.Coverage(
            data_file=str(OUTPUT.with_suffix(".coverage")), data_suffix=True, source=["src/paidonce"], config_file=False
        )
        self._coverage.set_option("run:patch", ["_exit"])  # A forked process writes down what it has seen, too.
        self._coverage.set_option("run:disable_warnings", ["no-data-collected"])
        self._coverage.config.parallel = True  # Each process has a file; those of an earlier run are erased.
        self._coverage.erase()
        self._coverage.start()
        self._seconds: dict[str, float] = {}
        self._failed: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self._coverage.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
        if not report.passed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        self._coverage.save()
        self._coverage.combine()
        data: Any = self._coverage.get_data()
        files = {
            str(Path(file).relative_to(Path.cwd())): data.contexts_by_lineno(file) for file in data.measured_files()
        }
        seconds = {test: spent for test, spent in self._seconds.items() if test not in self._failed}
        ours = ("paidonce", "tests", "bench", "__main__")
        libraries = [name for name in sys.modules if name.partition(".")[0] not in ours]
        OUTPUT.write_text(json.dumps({"seconds": seconds, "files": files, "libraries": libraries}))


COVERING: Final = Covering() if WORKER else None  # Before any conftest imports what is to be covered.


def pytest_configure(config: pytest.Config) -> None:
    if COVERING is not None:
        config.pluginmanager.register(COVERING)
