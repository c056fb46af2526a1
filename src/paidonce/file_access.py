"""Who may use a file of ours: the user that the service runs as, and nobody else on the machine."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

OWNER_ONLY: Final = 0o600


def create_private(path: Path) -> None:
    """Make an empty file that only its owner may use, unless there is one.

    SQLite makes a database readable by everybody, and gives its log the rights of the database. What cannot be made
    here SQLite cannot make either, and says why.
    """
    with suppress(OSError):
        # Only a new file: to close one that SQLite has open in this process would release its locks.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY))


def permissions_of_others(path: Path) -> int:
    """Return the permission bits that the group and others have on a file; 0 where there is no file."""
    try:
        return stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO)
    except OSError:
        return 0


def sqlite_files(path: Path) -> list[Path]:
    """List a SQLite database's file and those that lie beside it: its log, the log's index, and the server's lock."""
    return [path, *(path.with_name(f"{path.name}{ending}") for ending in ("-wal", "-shm", "-journal", ".lock"))]
