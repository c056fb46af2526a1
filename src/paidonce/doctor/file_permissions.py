"""Checks the permissions of the database files, the simulator's database and the encryption key file."""

import stat
from collections.abc import Iterator
from pathlib import Path

import structlog

from paidonce.database.health import Finding, Level
from paidonce.file_access import permissions_of_others, sqlite_files
from paidonce.settings import Settings

log = structlog.get_logger()


def examine_files(settings: Settings) -> Iterator[Finding]:
    """Find files that other users of this machine can read or change."""
    files = _data_files(settings)
    if files:
        yield _check_permissions("data files", files, "they hold data of merchants and buyers")
    key = settings.encryption_key_file
    if key is not None and key.exists():
        yield _check_permissions(
            "key file", [key], "it decrypts every stored secret; if others have read it, replace it", is_key=True
        )


def warn_about_file_permissions(settings: Settings) -> None:
    """Log a warning for each file that other users can access. The server starts all the same."""
    key = settings.encryption_key_file
    for path in [*_data_files(settings), *([key] if key is not None else [])]:
        if permissions_of_others(path):
            log.warning("file_open_to_others", file=str(path), mode=_mode(path), remedy=f"chmod 600 {path}")


def _data_files(settings: Settings) -> list[Path]:
    paths = [url.path for url in (settings.database, settings.simulator_books) if url.path is not None]
    return [file for path in paths for file in sqlite_files(path) if file.exists()]


def _check_permissions(check: str, files: list[Path], why: str, *, is_key: bool = False) -> Finding:
    open_files = [file for file in files if permissions_of_others(file)]
    if not open_files:
        return Finding(
            check, Level.OK, "only their owner can access them" if len(files) > 1 else "only its owner can access it"
        )
    named = ", ".join(f"{file} (mode {_mode(file)})" for file in open_files)
    found = f"other users of this machine can access {named}: {why}"
    # A group may have been given read access to the data on purpose, for backups. Write access, and access to the key,
    # are always problems.
    is_for_all = any(permissions_of_others(file) & (stat.S_IRWXO | stat.S_IWGRP) for file in open_files)
    level = Level.PROBLEM if is_key or is_for_all else Level.WARNING
    return Finding(check, level, found, f"run: chmod 600 {' '.join(map(str, open_files))}")


def _mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):03o}"
