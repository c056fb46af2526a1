"""Only the owner can use the service's files; otherwise the doctor and the server's log report it."""

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from paidonce.clock import system_clock
from paidonce.database.engine import open_database
from paidonce.database_url import parse_database_url
from paidonce.encryption import KEY_BYTES, write_key
from tests.support.service_process import ServiceProcess, processes

Run = Callable[..., Result]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    with processes(tmp_path) as started:
        yield started


@pytest.fixture(autouse=True)
def generous_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    return {path.name: f"{stat.S_IMODE(path.stat().st_mode):o}" for path in folder.iterdir() if path.is_file()}


def findings(result: Result) -> dict[str, dict[str, Any]]:
    return {one["check"]: one for one in json.loads(result.stdout)}


def test_a_server_makes_no_file_that_others_can_use(start: Callable[..., ServiceProcess], tmp_path: Path) -> None:
    server = start("dev", DATABASE_URL="file:shop.db", PAIDONCE_SIMULATOR_DATABASE="file:books.db").wait_until_ready()
    made = modes(tmp_path)
    databases = {f"{name}{ending}" for name in ("shop.db", "books.db") for ending in ("", "-wal", "-shm")}
    assert databases | {"shop.db.lock"} <= made.keys()
    assert {name: mode for name, mode in made.items() if mode != "600"} == {}
    assert "file_open_to_others" not in server.output


def test_a_server_warns_of_every_file_that_others_can_use(start: Callable[..., ServiceProcess], tmp_path: Path) -> None:
    for name in ("shop.db", "shop.db.key"):
        (tmp_path / name).touch()
    (tmp_path / "shop.db.key").write_text(write_key(bytes(KEY_BYTES)))
    server = start("dev", DATABASE_URL="file:shop.db", PAIDONCE_SIMULATOR_DATABASE="file:books.db").wait_until_ready()
    warned = [line for line in server.lines if "file_open_to_others" in line]
    assert [name for name in ("shop.db", "shop.db.key") if any(f"chmod 600 {name}" in line for line in warned)] == [
        "shop.db",
        "shop.db.key",
    ]


def test_the_doctor_finds_private_files_as_they_should_be(run: Run, tmp_path: Path) -> None:
    run("db", "upgrade", DATABASE_URL="file:shop.db")
    key = tmp_path / "shop.db.key"
    key.write_text(write_key(bytes(KEY_BYTES)))
    key.chmod(0o600)
    found = findings(run("doctor", "--json", DATABASE_URL="file:shop.db", PORT="0"))
    assert (found["data files"]["level"], found["key file"]["level"]) == ("ok", "ok")


@pytest.mark.parametrize(
    ("mode", "level"), [(0o644, "problem"), (0o602, "problem"), (0o660, "problem"), (0o640, "warning")]
)
@pytest.mark.parametrize("name", ["shop.db", "shop.db-wal", "shop.db-shm", "shop.db.lock", "books.db", "books.db-wal"])
def test_the_doctor_names_each_data_file_that_others_can_use(
    run: Run, tmp_path: Path, name: str, mode: int, level: str
) -> None:
    settings = {"DATABASE_URL": "file:shop.db", "PAIDONCE_SIMULATOR_DATABASE": "file:books.db"}
    run("db", "upgrade", **settings)
    books = open_database(parse_database_url("file:books.db"), clock=system_clock, exclusive=False)
    with books.write():  # The log is there while somebody has the database open.
        pass
    shop = open_database(parse_database_url("file:shop.db"), clock=system_clock)
    with shop.write():
        pass
    (tmp_path / name).chmod(mode)
    found = findings(run("doctor", "--json", PORT="0", **settings))["data files"]
    shop.close()
    books.close()
    assert (found["level"], found["remedy"]) == (level, f"run: chmod 600 {name}")
    assert f"{name} (mode {mode:o})" in found["found"]


@pytest.mark.parametrize("mode", [0o666, 0o644, 0o640, 0o620])
def test_the_doctor_names_a_key_file_that_others_can_use_as_a_problem(run: Run, tmp_path: Path, mode: int) -> None:
    key = tmp_path / "shop.db.key"
    key.write_text(write_key(bytes(KEY_BYTES)))
    key.chmod(mode)
    found = findings(run("doctor", "--json", DATABASE_URL="file:shop.db", PORT="0"))["key file"]
    assert (found["level"], found["remedy"]) == ("problem", "run: chmod 600 shop.db.key")
    assert f"(mode {mode:o})" in found["found"]
