"""The client of the fork server: it sends requests and learns how the children ended."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.proof.crash_injection import KILLED

ROOT = Path(__file__).parents[2]


class End(NamedTuple):
    """How a child ended: its status (KILLED at a point), and its result."""

    status: int
    result: Any

    @property
    def died(self) -> bool:
        """Whether it crashed where it was told to."""
        return self.status == KILLED


class ForkServer:
    """A process that forks children; see fork_server.py."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.count = 0

    def fork(self, function: str, *, source: Path | None = None, **arguments: Any) -> End:  # noqa: ANN401 - JSON
        """Run ``module:function`` in a child. ``source`` is a folder that is first on the import path."""
        self.count += 1
        return self._ask(function=function, source=str(source) if source else None, arguments=arguments)

    def rehearse(self, function: str, **arguments: Any) -> None:  # noqa: ANN401 - JSON
        """Run ``module:function`` in the fork server itself, so that its children find what it created."""
        self._ask(function=function, rehearsal=True, arguments=arguments)

    def _ask(self, *, rehearsal: bool = False, **request: object) -> End:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"rehearsal": rehearsal, **request}) + "\n")
        self._process.stdin.flush()
        return End(**json.loads(self._process.stdout.readline()))


@contextmanager
def fork_server(*, hot: bool = True) -> Iterator[ForkServer]:
    """Start a fork server; on leaving, it and its children have ended. ``hot``: it has imported paidonce."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.proof.fork_server", *(["hot"] if hot else [])],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield ForkServer(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(90)
            except subprocess.TimeoutExpired:
                process.kill()
