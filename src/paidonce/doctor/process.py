"""How this process does: what it uses of the machine."""

import os
import resource
import threading
from pathlib import Path
from typing import Final

import msgspec

DESCRIPTORS: Final = Path("/proc/self/fd")
STATUS: Final = Path("/proc/self/statm")
MIB: Final = 1024 * 1024


class ProcessHealth(msgspec.Struct, frozen=True, kw_only=True):
    """What a process uses. ``open_files`` is 0 where the system does not tell."""

    id: int
    memory_mib: int
    cpu_seconds: float
    open_files: int
    threads: int


def measure_process() -> ProcessHealth:
    """Measure this process now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return ProcessHealth(
        id=os.getpid(),
        memory_mib=_memory_mib(used.ru_maxrss),
        cpu_seconds=used.ru_utime + used.ru_stime,
        open_files=len(list(DESCRIPTORS.iterdir())) if DESCRIPTORS.is_dir() else 0,
        threads=threading.active_count(),
    )


def _memory_mib(most_kib: int) -> int:
    """Return the memory that is in use now, or, where the system does not tell, the most that ever was."""
    if STATUS.is_file():
        return int(STATUS.read_text().split()[1]) * resource.getpagesize() // MIB
    return most_kib // 1024
