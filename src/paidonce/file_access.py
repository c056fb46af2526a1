"""File permissions: only the user that the service runs as may use its files."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

OWNER_ONLY: Final = 0o600


def create_private(path: Path) -> None:
    """Create an empty file that only its owner may use, unless it exists.

    SQLite makes a database readable for everybody, and gives its WAL the permissions of the database. Where the file
    cannot be created here, SQLite cannot create it either and reports why.
    """
    with suppress(OSError):
        # Only a new file: closing one that SQLite has open in this process would release its locks.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY))


def permissions_of_others(path: Path) -> int:
    """Return the permission bits that the group and others have on a file; 0 where there is no file."""
    try:
        return stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO)
    except OSError:
        return 0


def sqlite_files(path: Path) -> list[Path]:
    """List the files of a SQLite database: the database, its WAL and WAL index, its journal, and the server's lock."""
    return [path, *(path.with_name(f"{path.name}{ending}") for ending in ("-wal", "-shm", "-journal", ".lock"))]
