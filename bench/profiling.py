"""Where the interpreters' time goes: py-spy looks many times a second which threads hold them, and what they do there.

Threads share their process's interpreter: that bounds the throughput. What waits, for disk or work, is not seen.
"""

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from threading import Thread
from typing import Final

import click

from bench.calls import fresh_prefix
from bench.databases import fresh_databases
from bench.load import load
from bench.results import Findings, Profile, Share
from bench.session import Session
from bench.subjects import SQLITE, paidonce_running
from bench.throughput import CREATE, merchants_file

LOOKS_A_SECOND: Final = 250
FUNCTIONS_SHOWN: Final = 20
WRITER: Final = "writer"  # The only child process of the service.
THREADS: Final = {"MainThread": "event loop"}  # The other threads are named after their function.


def measure_profile(session: Session) -> Findings:
    """Profile creates on SQLite."""
    spy = shutil.which("py-spy", path=Path(sys.executable).parent) or shutil.which("py-spy")
    if spy is None:
        raise click.ClickException("py-spy is not installed; it is in requirements/bench.txt")
    seconds = max(5, round(session.plan.seconds))
    with (
        fresh_databases([SQLITE], session.places, "profile") as databases,
        paidonce_running(SQLITE, databases[SQLITE], session.places.folder / "profile") as subject,
    ):
        merchants = str(merchants_file(session.places, subject))
        load(subject.url, CREATE, fresh_prefix(), merchants, seconds=session.plan.warm_up_seconds)
        busy = Thread(
            target=load, args=(subject.url, CREATE, fresh_prefix(), merchants), kwargs={"seconds": seconds + 2}
        )
        busy.start()
        try:
            profile = _look(spy, subject.pid, seconds, session.places.folder / "profile.txt")
        finally:
            busy.join()
    return Findings(profile=profile)


def _look(spy: str, pid: int, seconds: int, output: Path) -> Profile:
    command = [spy, "record", "--pid", str(pid), "--duration", str(seconds), "--rate", str(LOOKS_A_SECOND)]
    command += ["--format", "raw", "--function", "--threads", "--gil", "--subprocesses", "--output", str(output)]
    looked = subprocess.run(command, capture_output=True, text=True, check=False)
    if looked.returncode != 0 or not output.exists():
        raise click.ClickException(
            f"py-spy could not look (it may need root, or ptrace_scope=0): {looked.stderr.strip()}"
        )
    return read_profile(output.read_text())


def read_profile(text: str) -> Profile:
    """Parse py-spy's raw format: one stack a line, outermost frame first, separated by semicolons, then its number
    of samples.
    """
    threads: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for line in text.splitlines():
        stack, _, seen = line.rpartition(" ")
        processes, _, called = stack.rpartition(";thread (")  # A process is named by its command, which can hold ";".
        described, *frames = called.split(";")
        thread = described.partition(": ")[2].strip("\"'")
        threads[WRITER if processes.count("process ") > 1 else THREADS.get(thread, thread)] += int(seen)
        functions[frames[-1]] += int(seen)
    return Profile(_shares(threads), _shares(functions))


def _shares(seen: Counter[str]) -> list[Share]:
    whole = seen.total() or 1
    return [Share(what, 100 * number / whole) for what, number in seen.most_common(FUNCTIONS_SHOWN)]
