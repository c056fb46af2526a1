"""Load by wrk: every connection is always busy with one request."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import msgspec

from bench.plan import CONNECTIONS
from bench.results import Run, total

SCRIPTS: Final = Path(__file__).parent / "wrk"
TIMEOUT_SECONDS: Final = 10
GRACE_SECONDS: Final = 30.0  # wrk ends by itself; this is a safeguard.


class Report(msgspec.Struct, frozen=True):
    """What wrk/report.lua prints. ``status`` counts answers that are neither 2xx nor 3xx."""

    requests: int
    duration_us: int
    status: int
    socket: int
    timeout: int


def wrk_is_installed() -> bool:
    """Return whether wrk is installed."""
    return shutil.which("wrk") is not None


def load(url: str, script: str, *arguments: str, seconds: float) -> Run:
    """Run one of the scripts in wrk/ against a service; raises subprocess.CalledProcessError if wrk fails."""
    whole_seconds = max(1, round(seconds))  # wrk takes whole seconds only.
    command = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{whole_seconds}s"]
    command += ["--timeout", f"{TIMEOUT_SECONDS}s", "--script", f"{script}.lua", url, "--", *arguments]
    ended = subprocess.run(
        command, cwd=SCRIPTS, capture_output=True, text=True, check=True, timeout=whole_seconds + GRACE_SECONDS
    )
    report = msgspec.json.decode(ended.stdout.splitlines()[-1], type=Report)
    answered = report.requests - report.status
    return Run(
        value=answered / (report.duration_us / 1_000_000),
        errors=total([{"status": report.status, "socket": report.socket, "timeout": report.timeout}]),
    )
