"""Runs each mutant in a forked process of its own: at most so many at once, each within its own limit of time."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Final, NamedTuple, NoReturn, TypeVar

T = TypeVar("T")

LOOK_SECONDS: Final = 0.005
TIMED_OUT_EXIT: Final = 17


class Verdict(NamedTuple):
    """What became of a mutant: "caught" by a test, "survived", "timed out", or, where ``run`` raised, "broken"."""

    status: str
    by: str = ""


class _Child(NamedTuple):
    pid: int
    folder: tempfile.TemporaryDirectory[str]
    deadline: float


def run_forked(
    jobs: Iterable[T],
    run: Callable[[T], str | None],
    seconds_max: Callable[[T], float],
    *,
    processes: int,
    folder: Path,
) -> Iterator[tuple[T, Verdict]]:
    """Have ``run`` carried out for each job in a process of its own; it returns the test that failed, or None.

    Their files are in ``folder``, which is emptied first: a run that was interrupted leaves some behind.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    waiting = iter(jobs)
    children: dict[int, tuple[T, _Child]] = {}
    pause = Event()
    more = True
    while more or children:
        while more and len(children) < processes:
            job = next(waiting, None)
            if job is None:
                more = False
                break
            child = _fork(run, job, seconds_max(job), folder)
            children[child.pid] = job, child
        for pid, (job, child) in list(children.items()):
            if verdict := _verdict(child):
                del children[pid]
                yield job, verdict
        pause.wait(LOOK_SECONDS)


def _fork(run: Callable[[T], str | None], job: T, seconds: float, parent: Path) -> _Child:
    folder = tempfile.TemporaryDirectory(dir=parent, ignore_cleanup_errors=True)
    pid = os.fork()
    if pid == 0:
        _work(run, job, Path(folder.name))
    return _Child(pid, folder, time.monotonic() + seconds)


def _work(run: Callable[[T], str | None], job: T, folder: Path) -> NoReturn:
    """Be the process of one mutant. It leads a group of its own, with all that the tests fork."""
    os.setpgid(0, 0)
    tempfile.tempdir = str(folder)
    try:
        failed = run(job)
        verdict = Verdict("caught", failed) if failed else Verdict("survived")
    except BaseException as error:  # noqa: BLE001 - told by the process that waits
        verdict = Verdict("broken", repr(error))
    (folder / "verdict").write_text("\0".join(verdict))
    os._exit(0)


def limit_seconds(seconds: float) -> None:
    """End this process as one that has timed out, unless it is told otherwise within so many seconds; 0 is no limit."""
    signal.signal(signal.SIGALRM, lambda _number, _frame: os._exit(TIMED_OUT_EXIT))
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _verdict(child: _Child) -> Verdict | None:
    """Look once: None while it runs and may run on."""
    pid, status = os.waitpid(child.pid, os.WNOHANG)
    late = time.monotonic() > child.deadline
    if pid == 0 and not late:
        return None
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    if pid == 0:
        os.waitpid(child.pid, 0)
    file = Path(child.folder.name, "verdict")
    fields = file.read_text().split("\0") if file.exists() else ["caught", "the process died"]
    child.folder.cleanup()
    if pid == 0 or os.waitstatus_to_exitcode(status) == TIMED_OUT_EXIT:
        return Verdict("timed out")
    return Verdict(*fields)
