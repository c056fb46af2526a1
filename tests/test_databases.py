"""The databases of the tests are real, empty, separate and durable."""

import fcntl
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from tests.support.service_process import wait_until

WRITE_A_ROW = """
import os, psycopg
with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    connection.execute("create table t as select 1 as n")
"""

START_A_SERVER_AND_DIE = """
import os, signal
from tests.support.databases import server_url, session_directory
with session_directory() as directory:
    server_url(directory)
    print(directory, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_another_process_reaches_the_same_postgresql_by_its_url(postgres_url: str) -> None:
    subprocess.run(
        [sys.executable, "-c", WRITE_A_ROW], check=True, env={**os.environ, "DATABASE_URL": postgres_url}, timeout=120
    )
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("select n from t").fetchall() == [(1,)]


@pytest.mark.plain_postgresql(reason="it begins with a database without tables")
def test_sqlalchemy_reaches_postgresql_and_finds_it_empty_and_durable(postgres_url: str) -> None:
    engine = create_engine(make_url(postgres_url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        assert connection.scalar(text("select count(*) from pg_tables where schemaname = 'public'")) == 0
        assert connection.scalar(text("show fsync")) == "on"
        assert connection.scalar(text("show synchronous_commit")) == "on"
        assert connection.scalar(text("show full_page_writes")) == "on"
    engine.dispose()


@pytest.mark.plain_postgresql(reason="tests of plans do not run on a cluster")
def test_no_statistics_of_one_tests_rows_change_the_plans_of_the_next(migrated_postgres_url: str) -> None:
    with psycopg.connect(migrated_postgres_url) as connection:
        found = connection.execute(
            "SELECT relname, reloptions FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        ).fetchall()
    assert len(found) > 20
    analyzed = [name for name, options in found if "autovacuum_enabled=off" not in (options or [])]
    assert analyzed == ["alembic_version"]


def test_every_test_gets_a_database_of_each_kind(database_url: str) -> None:
    assert database_url.startswith(("file:/", "postgresql://"))


def test_a_killed_session_leaves_no_server_and_no_directory_behind() -> None:
    killed = subprocess.run(
        [sys.executable, "-c", START_A_SERVER_AND_DIE], check=False, stdout=subprocess.PIPE, text=True, timeout=240
    )
    directory = Path(killed.stdout.strip())
    assert killed.returncode == -signal.SIGKILL
    with suppress(FileNotFoundError), (directory / "running").open() as running:
        fcntl.flock(running, fcntl.LOCK_EX)  # held by the keeper and by the server until they end
    assert directory.is_absolute()
    wait_until(lambda: not directory.exists())  # The keeper may have removed the lock's file already, but not the rest.
