"""The machine of the measurement, without which figures mean nothing."""

import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
from pysqlite3 import dbapi2 as sqlite

from bench.plan import Places

FSYNC_SAMPLES: Final = 200
BUSY_LOAD_A_CORE: Final = 0.5  # Above this, other programs disturb the measurement.
PACKAGES: Final = ("msgspec", "sqlalchemy", "starlette", "granian", "uvloop")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """``fsync_ms`` is the median of appending 4 KiB and syncing it, in the folder of the databases."""

    cores: int
    memory_gb: float
    processor: str
    system: str
    versions: dict[str, str]
    commit: str
    filesystem: str
    fsync_ms: float
    load_before: float

    @property
    def lines(self) -> list[str]:
        """Format it for people."""
        lines = [
            (
                f"{self.cores} cores, {self.processor}, {self.memory_gb:.0f} GB, {self.system}; "
                f"{self.filesystem}, an fsync of 4 KiB takes {self.fsync_ms:.2f} ms."
            ),
            f"{', '.join(f'{name} {version}' for name, version in self.versions.items())}; paidonce at {self.commit}.",
        ]
        if self.filesystem == "tmpfs":
            lines.append("**The databases were in memory, without fsync.** Set --folder to a directory on a disk.")
        if self.is_busy(self.load_before):
            lines.append(
                f"**The machine was busy before it began (load {self.load_before:.1f}): the figures are a floor.**"
            )
        return lines

    def is_busy(self, load: float) -> bool:
        """Return whether this load means that other programs disturb the measurement."""
        return load > BUSY_LOAD_A_CORE * self.cores


def describe_machine(places: Places) -> Machine:
    """Inspect the machine and the folder of the databases."""
    return Machine(
        cores=os.cpu_count() or 1,
        memory_gb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        processor=_processor(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        versions=_versions(places.server_url),
        commit=commit(),
        filesystem=_filesystem(places.folder),
        fsync_ms=_fsync_ms(places.folder / "fsync"),
        load_before=os.getloadavg()[0],
    )


def commit() -> str:
    """Return the commit that is measured."""

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


def _versions(server_url: str) -> dict[str, str]:
    versions = {"Python": platform.python_version(), "SQLite": sqlite.sqlite_version}
    if server_url:
        import psycopg  # noqa: PLC0415 - SQLite is measured without it too

        with psycopg.connect(server_url) as connection:
            versions["PostgreSQL"] = connection.info.parameter_status("server_version") or "?"
    return versions | {name: importlib.metadata.version(name) for name in PACKAGES}


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or "an unknown processor"


def _filesystem(folder: Path) -> str:
    """Return the type of the file system of ``folder``: of the mount with the longest matching path."""
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
