"""On what it was measured: figures without their machine mean nothing."""

import os
import platform
import subprocess
import time
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
from pysqlite3 import dbapi2 as sqlite

FSYNC_SAMPLES: Final = 200
BUSY_LOAD: Final = 0.5  # Of one core: more, and somebody else is measured too.


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """``fsync_ms`` is the median of appending 4 KiB and forcing it out, where the databases are."""

    cores: int
    processor: str
    system: str
    python: str
    sqlite: str
    commit: str
    filesystem: str
    fsync_ms: float
    load_before: float

    @property
    def lines(self) -> list[str]:
        """Say it for people."""
        lines = [
            f"{self.cores} cores, {self.processor}, {self.system}",
            f"Python {self.python}, SQLite {self.sqlite}, paidonce at {self.commit}",
            f"{self.filesystem}, {self.fsync_ms:.2f} ms to force out 4 KiB",
        ]
        if self.filesystem == "tmpfs":
            lines.append("! the databases were in memory: nothing was forced out. Give --folder a place on a disk.")
        if self.load_before > BUSY_LOAD:
            lines.append(f"! the machine was busy before it began: load {self.load_before:.1f}")
        return lines


def describe_machine(folder: Path) -> Machine:
    """Look around; ``folder`` is where the databases will be."""
    return Machine(
        cores=os.cpu_count() or 1,
        processor=_processor(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        sqlite=sqlite.sqlite_version,
        commit=_commit(),
        filesystem=_filesystem(folder),
        fsync_ms=_fsync_ms(folder / "fsync"),
        load_before=os.getloadavg()[0],
    )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or "an unknown processor"


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "--no-optional-locks", "-C", Path(__file__).parent, *arguments],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    try:
        changed = " with changes" if git("status", "--porcelain", "--", "../src", "../pyproject.toml") else ""
        return git("rev-parse", "--short", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return "no commit"


def _filesystem(folder: Path) -> str:
    """Name the kind of file system that holds ``folder``: the mount with the longest path above it."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return "an unknown file system"
    place = folder.resolve()
    kinds = {Path(fields[1]): fields[2] for fields in map(str.split, mounts.read_text().splitlines())}
    return kinds[max((at for at in kinds if place.is_relative_to(at)), key=lambda at: len(at.parts))]


def _fsync_ms(path: Path) -> float:
    samples = []
    with path.open("wb", buffering=0) as file:
        for _ in range(FSYNC_SAMPLES):
            began = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            samples.append(time.perf_counter() - began)
    path.unlink()
    return median(samples) * 1000
