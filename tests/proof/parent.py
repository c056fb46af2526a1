"""The living side: it sends requests to the zygote and gets to know how its children ended."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.proof.dying import KILLED

ROOT = Path(__file__).parents[2]


class End(NamedTuple):
    """How a child ended: its status (KILLED at a point), and what it handed back if it did."""

    status: int
    result: Any

    @property
    def died(self) -> bool:
        """Whether it died where it was told to."""
        return self.status == KILLED


class ForkServer:
    """A warm process that forks children; see zygote.py."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.count = 0

    def fork(self, function: str, *, source: Path | None = None, **arguments: Any) -> End:  # noqa: ANN401 - JSON
        """Run ``module:function`` in a child; ``source`` is a folder that comes first where it imports."""
        self.count += 1
        return self._ask(function=function, source=str(source) if source else None, arguments=arguments)

    def rehearse(self, function: str, **arguments: Any) -> None:  # noqa: ANN401 - JSON
        """Run ``module:function`` in the warm process itself, so that its children find ready what it made."""
        self._ask(function=function, rehearsal=True, arguments=arguments)

    def _ask(self, *, rehearsal: bool = False, **request: object) -> End:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"rehearsal": rehearsal, **request}) + "\n")
        self._process.stdin.flush()
        return End(**json.loads(self._process.stdout.readline()))


@contextmanager
def zygote(*, hot: bool = True) -> Iterator[ForkServer]:
    """Start a warm parent; on leaving, it and its children are gone. ``hot``: it has imported paidonce already."""
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
