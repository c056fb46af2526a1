import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from unittest.mock import patch

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text

from paidonce.clock import system_clock
from paidonce.database import postgresql_engine
from paidonce.database.engine import Database, open_database
from paidonce.database_url import parse_database_url
from paidonce.errors import DatabaseNotSupported


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = open_database(parse_database_url(url), clock=system_clock)
    try:
        yield database
    finally:
        database.close()


def test_a_read_sees_what_was_committed_since_the_one_before(database_url: str) -> None:
    with opened(database_url) as database:
        with database.writes.begin() as connection:
            connection.execute(text("CREATE TABLE kept (n INTEGER PRIMARY KEY)"))
        for count in range(3):  # By SQLAlchemy, which opens a transaction of its own for it.
            with database.read() as transaction:
                assert transaction.rows(text("SELECT count(*) FROM kept"))[0][0] == count
            with database.write() as transaction:
                transaction.run(text("INSERT INTO kept VALUES (:n)"), {"n": count})


def test_the_connection_of_a_transaction_that_failed_is_not_used_again(database_url: str) -> None:
    with opened(database_url) as database:
        seen = []
        for fails in (False, False, True, False):
            with suppress(LookupError), database.write() as transaction:
                seen.append(transaction.connection)
                if fails:
                    raise LookupError
    assert seen[0] is seen[1] is seen[2]
    assert seen[3] is not seen[2]


@pytest.mark.parametrize(("default", "shown"), [("off", "on"), ("remote_apply", "remote_apply")])
def test_commits_are_durable_whatever_the_servers_default_also_on_a_connection_that_is_used_again(
    postgres_url: str, default: str, shown: str
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        change = sql.SQL("ALTER DATABASE {} SET synchronous_commit = {}").format(name, sql.Literal(default))
        connection.execute(change)
    with opened(postgres_url) as database:
        seen: list[str | None] = []
        with database.writes.connect() as ours:  # Nothing commits it: its end is a rollback.
            seen.append(ours.exec_driver_sql("SHOW synchronous_commit").scalar())
            used_first = ours.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        for _ in range(2):
            with database.write() as transaction:
                seen.append(transaction.connection.exec_driver_sql("SHOW synchronous_commit").scalar())
                assert transaction.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar() == used_first
    assert seen == [shown] * 3


@pytest.mark.parametrize(
    ("seconds_max", "discarded"), [(0.0, 5), (3600.0, 0)], ids=["old at once", "old after an hour"]
)
def test_plans_of_statements_are_made_anew_when_they_are_old(
    postgres_url: str, seconds_max: float, discarded: int
) -> None:
    told = []
    with (
        patch.object(postgresql_engine, "PLANS_SECONDS_MAX", seconds_max),
        patch.object(postgresql_engine, "execute_on_driver", lambda _connection, statement: told.append(statement)),
        opened(postgres_url) as database,
    ):
        for _ in range(3):
            with database.write() as transaction:
                transaction.run(text("SELECT 1"))
        for _ in range(2):
            with database.read() as transaction:
                transaction.run(text("SELECT 1"))
    assert told.count("DISCARD PLANS") == discarded


def test_a_database_that_does_not_apply_the_settings_of_a_connection_is_refused(postgres_url: str) -> None:
    # As a pooler drops them, and as other engines ignore them.
    with (
        patch.dict(postgresql_engine.POSTGRESQL_CONNECT, options=""),
        opened(postgres_url) as database,
        pytest.raises(DatabaseNotSupported, match="Set DATABASE_URL to the PostgreSQL server itself"),
        database.write(),
    ):
        pass


def test_a_server_on_sqlite_does_not_need_the_driver_of_postgresql() -> None:
    without = "import sys; sys.modules['psycopg'] = None; import paidonce.cli.serving"
    subprocess.run([sys.executable, "-c", without], check=True)
