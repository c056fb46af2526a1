"""Whether a service starts on servers that could lose what they have committed: one server, and a cluster's nodes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import event
from sqlalchemy.engine import make_url
from structlog.testing import capture_logs

from paidonce.clock import system_clock
from paidonce.database.durability import require_durable_server, require_durable_settings
from paidonce.database.engine import Database, open_database
from paidonce.database_url import parse_database_url
from paidonce.errors import NotDurable
from tests.support.citus import fresh_citus_database, require_cluster, url_of
from tests.support.databases import fresh_database


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = open_database(parse_database_url(url), clock=system_clock)
    try:
        yield database
    finally:
        database.close()


@pytest.mark.parametrize(
    ("set_to", "named"),
    [
        ({"fsync": "off", "full_page_writes": "on"}, ["fsync=off"]),
        ({"fsync": "on", "full_page_writes": "off"}, ["full_page_writes=off"]),
        ({"fsync": "off", "full_page_writes": "off"}, ["fsync=off", "full_page_writes=off"]),
    ],
)
def test_a_server_that_would_lose_commits_is_refused_and_everything_that_is_off_is_named(
    set_to: Mapping[str, str], named: list[str]
) -> None:
    with pytest.raises(NotDurable) as refused:
        require_durable_settings("PostgreSQL at somewhere", set_to)
    assert all(name in refused.value.detail for name in named)
    assert ("full_page_writes" in refused.value.detail) == ("full_page_writes=off" in named)


def test_a_server_that_keeps_commits_is_taken(database_url: str) -> None:
    with opened(database_url) as database:
        require_durable_server(database)


@pytest.mark.plain_postgresql(reason="all nodes of a cluster are asked")
def test_the_check_of_a_plain_postgresql_is_one_statement(migrated_postgres_url: str) -> None:
    statements: list[str] = []
    with opened(migrated_postgres_url) as database:
        with database.reads.connect():  # What a connection needs at first is none of the check's.
            pass

        @event.listens_for(database.writes, "before_cursor_execute")
        def _count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own
            statements.append(statement)

        require_durable_server(database)
    assert len(statements) == 1


@pytest.fixture
def cluster_url() -> Iterator[str]:
    """Yield a distributed database on the cluster, or skip the test."""
    with fresh_database(require_cluster()[0]) as url:
        yield url


def configure(node: str, database_url: str, setting: str) -> None:
    """Set a setting to off for one database on one node."""
    with psycopg.connect(node, autocommit=True) as connection:
        statement = sql.SQL("ALTER DATABASE {} SET {} = off")
        name = sql.Identifier(str(make_url(database_url).database))
        connection.execute(statement.format(name, sql.Identifier(setting)))


def lose_node(url: str, name: str) -> None:
    """Let the cluster look for a worker where nothing listens, in this database only."""
    with psycopg.connect(url, autocommit=True) as connection:
        port = int(name.rpartition(":")[2])
        lost = connection.execute("UPDATE pg_dist_node SET nodeport = 1 WHERE nodeport = %s RETURNING 1", [port])
        assert lost.fetchall()


def place(node: str) -> str:
    parts = make_url(node)
    return f"{parts.host}:{parts.port}"


def warnings(database: Database) -> Sequence[Mapping[str, Any]]:
    with capture_logs() as logs:
        require_durable_server(database)
    return logs


def test_a_cluster_whose_nodes_keep_commits_is_taken_without_a_warning(cluster_url: str) -> None:
    with opened(cluster_url) as database:
        assert warnings(database) == []


@pytest.mark.parametrize("worker", [1, -1])
def test_a_worker_node_that_would_lose_commits_is_refused_by_its_name(cluster_url: str, worker: int) -> None:
    node = require_cluster()[worker]
    configure(node, cluster_url, "synchronous_commit")
    with opened(cluster_url) as database, pytest.raises(NotDurable) as refused:
        require_durable_server(database)
    assert f"the node {place(node)} of PostgreSQL at " in refused.value.detail
    assert refused.value.detail.endswith("runs with synchronous_commit=off; it would lose commits. Turn it on.")


def test_a_coordinator_with_asynchronous_commits_is_taken_as_a_single_server_is(cluster_url: str) -> None:
    configure(require_cluster()[0], cluster_url, "synchronous_commit")
    with opened(cluster_url) as database:
        assert warnings(database) == []


def test_a_coordinator_with_asynchronous_commits_is_refused_by_a_service_that_uses_another_node(
    cluster_url: str,
) -> None:
    coordinator, worker = require_cluster()[:2]
    configure(coordinator, cluster_url, "synchronous_commit")
    url = url_of(worker, str(make_url(cluster_url).database))
    with opened(url) as database, pytest.raises(NotDurable, match=place(coordinator)):
        require_durable_server(database)


def test_a_node_that_is_down_is_logged_and_does_not_prevent_the_start(cluster_url: str) -> None:
    nodes = require_cluster()
    lose_node(cluster_url, place(nodes[1]))
    with opened(cluster_url) as database:
        [warning] = warnings(database)
    assert warning["event"] == "node_not_checked"
    assert warning["node"].endswith(":1")
    assert "\n" not in warning["error"]


def test_while_one_node_is_down_another_that_would_lose_commits_is_still_refused(cluster_url: str) -> None:
    nodes = require_cluster()
    if len(nodes) < 3:
        pytest.skip("left out: the cluster has one worker")
    lose_node(cluster_url, place(nodes[1]))
    configure(nodes[2], cluster_url, "synchronous_commit")
    with opened(cluster_url) as database, pytest.raises(NotDurable, match=place(nodes[2])):
        require_durable_server(database)


def test_tables_that_are_not_distributed_are_logged() -> None:
    with fresh_citus_database(require_cluster()) as url, opened(url) as database:
        with database.writes.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE search_term (merchant_id text)")
        [warning] = warnings(database)
    assert (warning["event"], warning["tables"]) == ("tables_not_distributed", ["search_term"])
    assert warning["remedy"] == "paidonce db distribute"
