"""The health check of a SQLite file, which creates, locks and changes nothing."""

from pathlib import Path

import pytest
from sqlalchemy import text

from paidonce.clock import system_clock
from paidonce.database.engine import open_database
from paidonce.database.health import Finding, Level
from paidonce.database.health_sqlite import (
    check_durability,
    check_file_system,
    check_free_space,
    check_sqlite_version,
    examine_sqlite,
    file_system_of,
)
from paidonce.database.migrate import migrate
from paidonce.database_url import DatabaseUrl

MOUNTS = """\
/dev/vda / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
tmpfs /run tmpfs rw 0 0
server:/export /mnt/share nfs4 rw 0 0
/dev/vdb /mnt/share/local xfs rw 0 0
/dev/vdc /mnt/two\\040words btrfs rw 0 0
overlay /over ext4 rw 0 0
overlay /over overlay rw 0 0
"""


def examined(path: Path | None) -> dict[str, Finding]:
    return {one.check: one for one in examine_sqlite(DatabaseUrl("sqlite", path=path))}


def problems(findings: dict[str, Finding]) -> set[str]:
    return {check for check, finding in findings.items() if finding.level is Level.PROBLEM}


@pytest.mark.parametrize("version", [(3, 51, 3), (3, 51, 10), (3, 52, 0), (4, 0, 0)])
def test_a_version_with_the_correction_is_good(version: tuple[int, int, int]) -> None:
    assert check_sqlite_version(version).level is Level.OK


@pytest.mark.parametrize(
    "version", [(3, 51, 2), (3, 51, 0), (3, 50, 7), (3, 49, 1), (3, 45, 3), (3, 44, 5), (3, 40, 1)]
)
def test_a_version_with_the_wal_reset_bug_is_a_problem(version: tuple[int, int, int]) -> None:
    assert check_sqlite_version(version).level is Level.PROBLEM


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/srv/paidonce", "ext4"),
        ("/run/paidonce", "tmpfs"),
        ("/runner", "ext4"),
        ("/mnt/share/paidonce", "nfs4"),
        ("/mnt/share/local/paidonce", "xfs"),
        ("/mnt/two words", "btrfs"),
        ("/over", "overlay"),
        ("/", "ext4"),
    ],
)
def test_a_folder_is_on_the_file_system_that_is_mounted_nearest_above_it(folder: str, kind: str) -> None:
    assert file_system_of(Path(folder), MOUNTS) == kind


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        ("ext4", Level.OK),
        ("xfs", Level.OK),
        ("", Level.OK),
        ("nfs4", Level.PROBLEM),
        ("cifs", Level.PROBLEM),
        ("9p", Level.PROBLEM),
        ("tmpfs", Level.PROBLEM),
        ("overlay", Level.WARNING),
        ("fuse.sshfs", Level.WARNING),
    ],
)
def test_a_file_system_is_judged_by_what_it_keeps(kind: str, level: Level) -> None:
    assert check_file_system(kind).level is level


@pytest.mark.parametrize(
    ("mib", "level"),
    [(0, Level.PROBLEM), (99, Level.PROBLEM), (100, Level.WARNING), (1023, Level.WARNING), (1024, Level.OK)],
)
def test_little_room_is_a_warning_and_none_a_problem(mib: int, level: Level) -> None:
    assert check_free_space(mib).level is level


@pytest.mark.parametrize(
    ("journal", "synchronous", "level"),
    [
        ("wal", 2, Level.OK),
        ("wal", 3, Level.OK),
        ("wal", 1, Level.PROBLEM),
        ("wal", 0, Level.PROBLEM),
        ("delete", 2, Level.PROBLEM),
        ("memory", 2, Level.PROBLEM),
    ],
)
def test_a_commit_is_durable_in_wal_mode_with_full_sync_and_not_else(
    journal: str, synchronous: int, level: Level
) -> None:
    assert check_durability(journal, synchronous).level is level


def test_a_migrated_file_is_found_durable_and_complete(tmp_path: Path) -> None:
    database = open_database(DatabaseUrl("sqlite", path=tmp_path / "paid.db"), clock=system_clock)
    migrate(database)
    database.close()
    found = examined(tmp_path / "paid.db")
    assert found["durability"] == Finding(
        "durability", Level.OK, "journal_mode=wal, synchronous=2: every commit is synced"
    )
    assert problems(found) == set()


def test_a_file_that_is_not_there_is_not_made_and_its_folder_is_tried_all_the_same(tmp_path: Path) -> None:
    found = examined(tmp_path / "paid.db")
    assert found["durability"].level is Level.OK
    assert problems(found) == {"schema"}
    assert list(tmp_path.iterdir()) == []


def test_a_served_file_is_examined_beside_its_server_and_while_it_writes(tmp_path: Path) -> None:
    server = open_database(DatabaseUrl("sqlite", path=tmp_path / "paid.db"), clock=system_clock)
    migrate(server)
    with server.write() as transaction:
        transaction.run(text("CREATE TABLE written_meanwhile (n INTEGER)"))
        assert problems(examined(tmp_path / "paid.db")) == set()
    server.close()


def test_an_examination_takes_no_servers_lock(tmp_path: Path) -> None:
    (tmp_path / "paid.db").touch()
    examined(tmp_path / "paid.db")
    assert not (tmp_path / "paid.db.lock").exists()


def test_memory_is_a_problem() -> None:
    assert problems(examined(None)) == {"database file"}


def test_a_folder_that_is_not_there_is_a_problem_with_its_remedy(tmp_path: Path) -> None:
    found = examined(tmp_path / "missing" / "paid.db")
    assert problems(found) == {"folder"}
    assert found["folder"].remedy == f"run: mkdir -p {tmp_path / 'missing'}"


def test_a_folder_in_which_nothing_can_be_made_is_a_problem() -> None:
    assert "folder" in problems(examined(Path("/proc/paid.db")))


def test_a_file_that_is_no_database_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "paid.db").write_text("Dear diary, today nothing was paid. " * 100)
    found = examined(tmp_path / "paid.db")
    assert problems(found) == {"durability"}
    assert "not a database" in found["durability"].found
