"""paidonce as users run it: in separate processes that can be called, stopped, and killed at any time."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, Thread
from typing import Final

from tests.support.warm_process import ROOT, WarmProcess

# The service's own settings, but quick: what takes seconds in production takes tenths of them here.
QUICK: Final = {
    "PORT": "0",
    "PAIDONCE_SIMULATOR_LATENCY_MS": "200",
    "PAIDONCE_PROVIDER_TIMEOUT_SECONDS": "2",
    "PAIDONCE_LEASE_SECONDS": "3",
    "PAIDONCE_RECONCILE_FIRST_SECONDS": "0.2",
    "PAIDONCE_POLL_SECONDS": "0.1",
}

START_SECONDS_MAX: Final = 120.0  # Two seconds on an idle machine.
END_SECONDS_MAX: Final = 90.0
WAIT_SECONDS_MAX: Final = 90.0


class ServiceProcess:
    """One process. ``lines`` is everything that it has printed, on standard output and standard error.

    It is forked from a process that has imported paidonce, or, if ``program`` is given, runs ``python -m program``.
    """

    def __init__(self, *arguments: str, folder: Path, program: str | None = None, **settings: str) -> None:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in ("DATABASE_URL", "HOST", "PORT") and not name.startswith("PAIDONCE_")
        }
        self.arguments = arguments
        self.folder = folder
        self.settings = {**QUICK, "PAIDONCE_SIMULATOR_DATABASE": f"file:{folder}/books.db", **settings}
        self.lines: list[str] = []
        # Its .env, if there is one, and its relative paths are the test's own.
        self.process = _run(arguments, program, folder, {**inherited, "PYTHONPATH": str(ROOT), **self.settings})
        self._changed = Condition()
        self._ended = False
        self._listener = Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                with self._changed:
                    self.lines.append(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def output(self) -> str:
        """Everything that it has printed, as one text."""
        return "\n".join(self.lines)

    @property
    def url(self) -> str:
        """Its URL; waits until it is listening."""
        return self.wait_for_line("paidonce is at").rpartition(" ")[2]

    @property
    def database_url(self) -> str:
        return self.settings["DATABASE_URL"]

    @property
    def books(self) -> Path:
        """The file of the simulated provider's books."""
        return Path(self.settings["PAIDONCE_SIMULATOR_DATABASE"].removeprefix("file:"))

    @property
    def writer_pid(self) -> int:
        """The id of its writer process."""
        pid: int = json.loads(self.wait_for_line('"writer_pid"'))["writer_pid"]
        return pid

    def wait_for_line(self, text: str) -> str:
        """Wait until it has printed ``text``; returns that line."""

        def found() -> str | None:
            return next((line for line in self.lines if text in line), None)

        with self._changed:
            self._changed.wait_for(lambda: found() or self._ended, START_SECONDS_MAX)
            line = found()
        assert line is not None, f"paidonce {' '.join(self.arguments)} never printed {text!r}:\n{self.output}"
        return line

    def wait_until_ready(self) -> "ServiceProcess":
        """Wait until it is serving or, as a worker, working."""
        if self.arguments[:1] == ("worker",):
            self.wait_for_line('"working"')
        else:
            self.wait_for_line("paidonce is at")
        return self

    def wait_for_end(self) -> int:
        """Wait until it has ended by itself; returns its exit status."""
        status = self.process.wait(END_SECONDS_MAX)
        self._listener.join(END_SECONDS_MAX)
        return status

    def kill(self) -> None:
        """Kill it without a chance to clean up, like a power cut."""
        self.process.kill()
        self.wait_for_end()

    def terminate(self) -> None:
        """Stop it with SIGTERM, as a deployment does."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Suspend it until ``resume``, like a stalled machine."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume it."""
        self.process.send_signal(signal.SIGCONT)


def _run(
    arguments: Sequence[str], program: str | None, folder: Path, environment: Mapping[str, str]
) -> WarmProcess | subprocess.Popen[str]:
    if program is None:
        return WarmProcess(arguments, cwd=folder, env=environment)
    return subprocess.Popen(
        [sys.executable, "-m", program, *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def processes(folder: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Yield a function that starts processes of paidonce. On leaving, all are stopped and their output is printed."""
    started: list[ServiceProcess] = []

    def start(*arguments: str, program: str | None = None, **settings: str) -> ServiceProcess:
        one = ServiceProcess(*arguments, folder=folder, program=program, **settings)
        started.append(one)
        return one

    try:
        yield start
    finally:
        for one in started:
            one.kill()
            print_output(one)


def print_output(one: ServiceProcess, since_line: int = 0) -> None:
    """Print the output of a process, which pytest shows for failed tests only."""
    output = "\n".join(one.lines[since_line:])
    sys.stdout.write(f"--- paidonce {' '.join(one.arguments)} (pid {one.process.pid}) printed:\n{output}\n")


def wait_until(condition: Callable[[], object], *, seconds: float = WAIT_SECONDS_MAX) -> None:
    """Poll for a condition; fails where it does not become true in time."""
    deadline = time.monotonic() + seconds
    pause = Condition()
    with pause:
        while not condition():
            assert time.monotonic() < deadline, f"this did not come true within {seconds:g} s"
            pause.wait(0.01)
