"""The health check of a PostgreSQL server."""

from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import sql

from paidonce.clock import system_clock
from paidonce.database.engine import open_database
from paidonce.database.health import Finding, Level
from paidonce.database.health_postgresql import ServerFacts, check_server, examine_postgresql
from paidonce.database.migrate import migrate
from paidonce.database.schema import SCHEMA_VERSION
from paidonce.database_url import parse_database_url

SKEW_MS_MAX = 5000
GOOD = ServerFacts(
    settings={
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "default_transaction_read_only": "off",
        "server_version": "18.1",
        "server_version_num": "180001",
        "server_encoding": "UTF8",
        "max_connections": "100",
        "superuser_reserved_connections": "3",
    },
    used_connections=12,
    is_standby=False,
    skew_ms=3,
    uncertainty_ms=1,
    schema=SCHEMA_VERSION,
)


def examined(url: str) -> dict[str, Finding]:
    found = examine_postgresql(parse_database_url(url), clock=system_clock, skew_ms_max=SKEW_MS_MAX)
    return {one.check: one for one in found}


def judged(**facts: Any) -> set[tuple[str, Level]]:  # noqa: ANN401 - any of the facts
    """Return the checks that are not OK on a server that differs from a good one in these facts."""
    found = check_server(msgspec.structs.replace(GOOD, **facts), skew_ms_max=SKEW_MS_MAX)
    assert [one.check for one in found if bool(one.remedy) == (one.level is Level.OK)] == []
    return {(one.check, one.level) for one in found if one.level is not Level.OK}


def test_a_good_server_gives_no_finding() -> None:
    assert judged() == set()


@pytest.mark.parametrize(
    ("setting", "value", "check"),
    [
        ("fsync", "off", "fsync"),
        ("full_page_writes", "off", "full_page_writes"),
        ("synchronous_commit", "off", "synchronous_commit"),
        ("default_transaction_read_only", "on", "writable"),
        ("server_encoding", "SQL_ASCII", "encoding"),
        ("server_encoding", "LATIN1", "encoding"),
    ],
)
def test_a_setting_that_loses_or_refuses_data_is_a_problem(setting: str, value: str, check: str) -> None:
    assert judged(settings={**GOOD.settings, setting: value}) == {(check, Level.PROBLEM)}


@pytest.mark.parametrize("value", ["local", "remote_write", "remote_apply"])
def test_every_other_level_of_commit_is_durable_here(value: str) -> None:
    assert judged(settings={**GOOD.settings, "synchronous_commit": value}) == set()


def test_a_server_without_corrections_is_a_warning() -> None:
    assert judged(settings={**GOOD.settings, "server_version_num": "140020"}) == {("PostgreSQL", Level.WARNING)}


def test_a_standby_is_a_problem() -> None:
    assert judged(is_standby=True) == {("writable", Level.PROBLEM)}


@pytest.mark.parametrize(("used", "warned"), [(89, False), (90, True), (97, True)])
def test_too_few_free_connections_for_one_process_are_a_warning(used: int, *, warned: bool) -> None:
    assert judged(used_connections=used) == ({("connections", Level.WARNING)} if warned else set())


@pytest.mark.parametrize(
    ("skew_ms", "uncertainty_ms", "level"),
    [
        (0, 1, None),
        (1000, 1, None),
        (-1000, 1, None),
        (1200, 1, Level.WARNING),
        (-1200, 1, Level.WARNING),
        (1200, 500, None),
        (5400, 500, Level.WARNING),
        (5600, 500, Level.PROBLEM),
        (-86_400_000, 1, Level.PROBLEM),
    ],
)
def test_clocks_that_surely_differ_are_a_warning_and_by_much_a_problem(
    skew_ms: int, uncertainty_ms: int, level: Level | None
) -> None:
    assert judged(skew_ms=skew_ms, uncertainty_ms=uncertainty_ms) == ({("clock", level)} if level else set())


@pytest.mark.parametrize("schema", [None, "0000"])
def test_another_schema_is_a_problem(schema: str | None) -> None:
    assert judged(schema=schema) == {("schema", Level.PROBLEM)}


@pytest.mark.plain_postgresql(reason="it begins with a database without tables")
def test_a_real_server_is_found_good_once_it_is_migrated(postgres_url: str) -> None:
    assert [one.check for one in examined(postgres_url).values() if one.level is not Level.OK] == ["schema"]
    database = open_database(parse_database_url(postgres_url), clock=system_clock)
    migrate(database)
    database.close()
    assert [one for one in examined(postgres_url).values() if one.level is not Level.OK] == []


def test_what_was_set_for_the_database_is_seen_behind_what_our_connections_set(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(name))
    assert examined(postgres_url)["synchronous_commit"].level is Level.PROBLEM


def test_a_clock_that_is_wrong_is_noticed_on_a_real_server(postgres_url: str) -> None:
    found = examine_postgresql(
        parse_database_url(postgres_url), clock=lambda: system_clock() - 60_000, skew_ms_max=SKEW_MS_MAX
    )
    (clock,) = [one for one in found if one.check == "clock"]
    assert clock.level is Level.PROBLEM
    assert clock.found.startswith(("the server's clock is 60.0 s ahead of", "the server's clock is 59."))


def test_a_server_that_is_not_there_is_the_only_finding() -> None:
    found = examined("postgresql://user:hunter2@127.0.0.1:1/shop")
    assert [(one.check, one.level) for one in found.values()] == [("server", Level.PROBLEM)]
    assert "hunter2" not in found["server"].found
    assert "\n" not in found["server"].found
