"""Power cuts on the disk model: each must leave the last acknowledged state, or a later one."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple
from unittest.mock import patch

import pysqlite3.dbapi2
from pysqlite3.dbapi2 import DatabaseError, connect  # Bound here: what is left is read by the driver that users have.

from paidonce.database import engine
from paidonce.database.engine import Database, open_database
from paidonce.database.migrate import migrate
from paidonce.database_url import DatabaseUrl
from paidonce.events.store import write_events
from tests.proof import apsw_driver
from tests.proof.power import Disk, ForgetfulVFS
from tests.proof.workload import Workload

TRANSACTIONS: Final = 25  # For each round: enough for several checkpoints, and few enough to read all rows quickly.
CHECKPOINT_PAGES: Final = 40  # SQLite's default of 1000 would not be reached in a round.
MOMENTS: Final = 450  # About the number of writes and syncs of a round, as measured.
TABLES: Final = ("checkout", "attempt", "event", "merchant")

_names: Final = count()


class Cut(NamedTuple):
    """What one power cut left: a digest of all rows (None: the file is damaged), and how many commits had returned."""

    digest: str | None
    acknowledged: int


class Tally(NamedTuple):
    """The result of many power cuts: how many lost an acknowledged commit, or damaged the file."""

    cuts: int = 0
    lost: int = 0
    damaged: int = 0
    commits: int = 0

    def plus(self, other: "Tally") -> "Tally":
        return Tally(*(one + two for one, two in zip(self, other, strict=True)))


def cut_the_power(folder: Path, chance: Random, *, cuts: int, synchronous: str = "FULL") -> Tally:
    """Run a workload, and cut the power at least ``cuts`` times at random moments."""
    template = folder / "template.db"
    if not template.exists():
        database = open_database(DatabaseUrl("sqlite", path=template), clock=lambda: 1, before_commit=write_events)
        migrate(database)
        database.close()
    tally = Tally()
    while tally.cuts < cuts:
        tally = tally.plus(_round(folder, chance, wanted=min(cuts, 40), synchronous=synchronous))
    return tally


def _round(folder: Path, chance: Random, *, wanted: int, synchronous: str) -> Tally:
    place, left = folder / "round", folder / "left"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    shutil.copy(folder / "template.db", place / "paid.db")
    acknowledged: list[str] = []
    cuts: list[Cut] = []

    def moment() -> None:
        if acknowledged and chance.random() < wanted / MOMENTS:
            cuts.append(Cut(_digest_of_what_is_left(left, disk.after_a_cut(chance)), len(acknowledged)))

    disk = Disk(moment)
    with _opened(place / "paid.db", disk, synchronous) as database:
        work = Workload(database, chance)
        acknowledged.append(_digest(lambda statement: _rows(database, statement)))
        for _ in range(TRANSACTIONS):
            work.step()
            acknowledged.append(_digest(lambda statement: _rows(database, statement)))
    return Tally(
        cuts=len(cuts),
        # A commit that was under way may be durable, which is fine.
        lost=sum(cut.digest is not None and cut.digest not in acknowledged[cut.acknowledged - 1 :] for cut in cuts),
        damaged=sum(cut.digest is None for cut in cuts),
        commits=len(acknowledged) - 1,
    )


@contextmanager
def _opened(path: Path, disk: Disk, synchronous: str) -> Iterator[Database]:
    """Open a database as the service does, on the disk model, possibly with a weaker ``synchronous`` setting."""
    name = f"forgetful{next(_names)}"
    vfs = ForgetfulVFS(name, disk)
    levels = {"FULL": engine.SYNCHRONOUS_FULL, "NORMAL": 1, "OFF": 0}

    def weaken(statement: str) -> str:
        return f"PRAGMA synchronous={synchronous}" if statement == "PRAGMA synchronous=FULL" else statement

    with (
        patch.object(pysqlite3, "dbapi2", apsw_driver),
        patch.object(apsw_driver, "vfs_name", name),
        patch.object(apsw_driver, "rewrite", weaken),
        patch.object(engine, "SYNCHRONOUS_FULL", levels[synchronous]),
    ):
        database = open_database(
            DatabaseUrl("sqlite", path=path), clock=Workload.clock, before_commit=write_events, exclusive=False
        )
        with database.writes.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        try:
            yield database
        finally:
            database.close()
            vfs.unregister()


def _rows(database: Database, statement: str) -> list[Any]:
    with database.reads.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


def _digest_of_what_is_left(folder: Path, left: dict[str, bytes]) -> str | None:
    """Open what a power cut left, as the next start would, and read everything; None where it is damaged."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in left.items():
        (folder / name).write_bytes(content)
    with closing(connect(str(folder / "paid.db"))) as connection:
        try:
            if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                return None
            return _digest(lambda statement: connection.execute(statement).fetchall())
        except DatabaseError:
            return None


def _digest(read: Callable[[str], list[Any]]) -> str:
    rows = [read(f"SELECT * FROM {table} ORDER BY id") for table in TABLES]
    return hashlib.blake2b(repr(rows).encode(), digest_size=16).hexdigest()
