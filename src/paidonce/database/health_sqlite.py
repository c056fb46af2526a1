"""Examines SQLite: its version, the location of the file, and whether commits are durable."""

import shutil
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final

import pysqlite3.dbapi2

from paidonce.database.engine import SQLITE_BUSY_MS, SYNCHRONOUS_EXTRA, SYNCHRONOUS_FULL
from paidonce.database.health import Finding, Level, check_schema
from paidonce.database_url import DatabaseUrl

MOUNTS: Final = Path("/proc/self/mounts")

# In earlier versions a checkpoint that runs at the wrong moment loses commits: SQLite's "WAL-reset bug". Two older
# release lines have the fix too, but lack jsonb_each, which the batch statements need.
VERSION_MIN: Final = (3, 51, 3)

# WAL relies on shared memory and on file locks. Neither works over a network.
NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2"}
    | {"prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs"}
)
VOLATILE_FILE_SYSTEMS: Final = frozenset({"devtmpfs", "ramfs", "tmpfs"})
LAYERED_FILE_SYSTEMS: Final = frozenset({"aufs", "overlay"})

FREE_MIB_MIN: Final = 100  # The WAL grows to some megabytes between checkpoints. Without free space, commits fail.
FREE_MIB_WARNING: Final = 1024  # About a million checkouts.
MIB: Final = 1024 * 1024

_HAS_SCHEMA: Final = "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'"
_SCHEMA: Final = "SELECT max(version_num) FROM alembic_version"


def examine_sqlite(url: DatabaseUrl) -> list[Finding]:
    """Examine a SQLite file while it may be in use. No lock is taken, and no file is created."""
    version = check_sqlite_version(pysqlite3.dbapi2.sqlite_version_info)
    if url.path is None:
        found = "in memory: all data is lost when the process ends"
        remedy = "set DATABASE_URL to a file (file:./paidonce.db) or to PostgreSQL"
        return [version, Finding("database file", Level.PROBLEM, found, remedy)]
    folder = url.path.absolute().parent
    if not folder.is_dir():
        return [version, Finding("folder", Level.PROBLEM, f"{folder} does not exist", f"run: mkdir -p {folder}")]
    mounts = MOUNTS.read_text() if MOUNTS.exists() else ""
    return [
        version,
        check_file_system(file_system_of(folder.resolve(), mounts)),
        check_free_space(shutil.disk_usage(folder).free // MIB),
        _examine_folder(folder),
        *_examine_file(url.path),
    ]


def check_sqlite_version(version: tuple[int, int, int]) -> Finding:
    """Check whether this SQLite version is durable and supports our statements."""
    shown = ".".join(map(str, version))
    if version >= VERSION_MIN:
        return Finding("SQLite", Level.OK, shown)
    found = f"{shown} is older than 3.51.3: it can lose commits in WAL mode (the WAL-reset bug), or lacks jsonb_each"
    return Finding(
        "SQLite", Level.PROBLEM, found, "run: pip install --upgrade pysqlite3, which contains its own SQLite"
    )


def file_system_of(folder: Path, mounts: str) -> str:
    """Return the type of file system that a resolved folder is on, from the text of /proc/mounts; empty if unknown."""
    found, depth = "", -1
    for line in mounts.splitlines():
        _, point, kind = line.split(" ")[:3]
        mounted = PurePosixPath(point.encode().decode("unicode_escape"))  # A space is written as \040.
        if folder.is_relative_to(mounted) and len(mounted.parts) >= depth:
            found, depth = kind, len(mounted.parts)
    return found


def check_file_system(kind: str) -> Finding:
    """Check whether a SQLite file is safe on this type of file system."""
    check = "file system"
    if kind in NETWORK_FILE_SYSTEMS:
        found = f"{kind}: locks and shared memory do not work over a network, and the file can become corrupt"
        return Finding(check, Level.PROBLEM, found, "put the file on a local disk, or use PostgreSQL")
    if kind in VOLATILE_FILE_SYSTEMS:
        found = f"{kind}: in memory, so all data is lost when the machine restarts"
        return Finding(check, Level.PROBLEM, found, "put the file on a disk")
    if kind in LAYERED_FILE_SYSTEMS:
        found = f"{kind}: a container layer, which is deleted with the container"
        return Finding(check, Level.WARNING, found, "mount a volume, and put the file there")
    if kind.startswith("fuse."):
        found = f"{kind}: not known to support durable writes and locks"
        return Finding(check, Level.WARNING, found, "put the file on a local disk, or use PostgreSQL")
    return Finding(check, Level.OK, kind or "unknown on this system")


def check_free_space(free_mib: int) -> Finding:
    """Check the free space beside the file."""
    if free_mib >= FREE_MIB_WARNING:
        return Finding("free space", Level.OK, f"{free_mib // 1024} GiB")
    level = Level.PROBLEM if free_mib < FREE_MIB_MIN else Level.WARNING
    found = f"{free_mib} MiB; when the disk is full, every write is refused with 503"
    return Finding("free space", level, found, "free disk space, or move the file to a larger disk")


def _examine_folder(folder: Path) -> Finding:
    try:
        with TemporaryDirectory(prefix=".paidonce-doctor-", dir=folder):
            return Finding("folder", Level.OK, f"{folder} is writable")
    except OSError as error:
        found = f"{folder} is not writable: {error.strerror}; SQLite keeps its log beside the file"
        return Finding("folder", Level.PROBLEM, found, f"change its owner to this user: chown {folder}")


def _examine_file(path: Path) -> list[Finding]:
    if path.exists():
        return _open(path)
    try:
        # The same, in a file of our own: the file itself is for `paidonce db upgrade` to make.
        with TemporaryDirectory(prefix=".paidonce-doctor-", dir=path.absolute().parent) as folder:
            return _open(Path(folder, "probe.db"))
    except OSError:
        return []  # The folder was found to be read-only before.


def _open(path: Path) -> list[Finding]:
    """Open the file with the settings that the service uses, and read back what is in effect. It blocks no
    transaction.
    """
    try:
        connection = pysqlite3.dbapi2.connect(path, timeout=SQLITE_BUSY_MS / 1000, isolation_level=None)
        try:
            (journal,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute("PRAGMA synchronous = FULL")
            (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
            (has_schema,) = connection.execute(_HAS_SCHEMA).fetchone()
            (version,) = connection.execute(_SCHEMA).fetchone() if has_schema else (None,)
        finally:
            connection.close()
    except pysqlite3.dbapi2.Error as error:
        found, remedy = f"cannot use {path}: {error}", "check that it is a SQLite file and writable"
        return [Finding("durability", Level.PROBLEM, found, remedy)]
    return [check_durability(journal, synchronous), check_schema(version)]


def check_durability(journal: str, synchronous: int) -> Finding:
    """Check whether a commit is on disk before it is acknowledged."""
    found = f"journal_mode={journal}, synchronous={synchronous}"
    if journal == "wal" and synchronous in (SYNCHRONOUS_FULL, SYNCHRONOUS_EXTRA):
        return Finding("durability", Level.OK, f"{found}: every commit is synced")
    return Finding("durability", Level.PROBLEM, f"{found}: a crash can lose commits", "put the file on a local disk")
