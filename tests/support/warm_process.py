"""Processes of paidonce that are forked from one that has imported it, as ``python -m paidonce`` would.

A new interpreter imports for a second, and loads the pages for another half. The suite starts hundreds of processes, so
a third of its time was spent on that. A forked process runs the same command in an environment and folder of its own.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import chdir
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from paidonce.cli import main

ROOT: Final = Path(__file__).parents[2]
PRELOADED: Final = "tests.support.preloaded"
STDOUT: Final = 1
STDERR: Final = 2

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([PRELOADED])


class WarmProcess:
    """A forked process, with the methods of ``subprocess.Popen``. ``stdout`` is all that it prints, errors included."""

    def __init__(self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        reading, writing = _context.Pipe(duplex=False)
        self._process = _context.Process(target=_run, args=(list(arguments), str(cwd), dict(env), writing))
        with chdir(ROOT):  # Where the fork server, which the first process starts, finds the modules.
            self._process.start()
        writing.close()
        self.stdout: Final = os.fdopen(os.dup(reading.fileno()), errors="replace")
        reading.close()
        assert self._process.pid is not None
        self.pid: Final[int] = self._process.pid

    def poll(self) -> int | None:
        """Return its exit status, negative where a signal ended it; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; returns its exit status. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        status = self.poll()
        if status is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired("paidonce", timeout)
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        self.send_signal(signal.SIGKILL)


def _run(arguments: list[str], folder: str, environment: dict[str, str], output: Connection) -> None:
    """Be ``paidonce ARGUMENTS``."""
    assert PRELOADED in sys.modules, "the fork server could not import it"
    os.dup2(output.fileno(), STDOUT)
    os.dup2(output.fileno(), STDERR)
    output.close()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = ["paidonce", *arguments]
    main(prog_name="paidonce")
