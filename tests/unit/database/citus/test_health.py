"""What `paidonce doctor` says of a Citus cluster: how each finding is judged, and what a real cluster tells."""

from collections.abc import Iterator

import msgspec
import psycopg
import pytest

from paidonce.clock import system_clock
from paidonce.database.citus.health import Cluster, check_cluster
from paidonce.database.citus.layout import FIRST_TABLE, Kind, Place
from paidonce.database.citus.nodes import Node
from paidonce.database.health import Finding, Level
from paidonce.database.health_postgresql import examine_postgresql
from paidonce.database_url import parse_database_url
from tests.support.citus import fresh_citus_database, migrate_and_distribute, require_cluster
from tests.support.databases import fresh_database

SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "100",
    "superuser_reserved_connections": "3",
    "max_worker_processes": "8",
    "citus.recover_2pc_interval": "1000",
}
NODE = Node(name="10.0.0.2:5432", settings=SETTINGS, used_connections=40)
PLACES = {
    FIRST_TABLE: Place(Kind.DISTRIBUTED, "id", 2, 32),
    "checkout": Place(Kind.DISTRIBUTED, "merchant_id", 2, 32),
    "audit_entry": Place(Kind.COORDINATOR),
}
CLUSTER = Cluster(version="13.2-1", places=PLACES, nodes=[NODE], kept_connections=1)


def judged(cluster: Cluster) -> list[Finding]:
    """Return the findings that are not good."""
    return [one for one in check_cluster(cluster) if one.level is not Level.OK]


def node(**changes: object) -> Cluster:
    return msgspec.structs.replace(CLUSTER, nodes=[msgspec.structs.replace(NODE, **changes)])


def test_a_good_cluster_gives_no_finding() -> None:
    assert judged(CLUSTER) == []
    assert [one.check for one in check_cluster(CLUSTER)] == ["Citus", "tables", "node 10.0.0.2:5432"]


def test_an_older_version_than_what_was_tested_is_a_warning() -> None:
    [found] = judged(msgspec.structs.replace(CLUSTER, version="12.1-1"))
    assert (found.check, found.level) == ("Citus", Level.WARNING)


def test_tables_that_an_upgrade_added_are_a_problem_with_the_command_that_distributes_them() -> None:
    [found] = judged(msgspec.structs.replace(CLUSTER, places={**PLACES, "attempt": Place(Kind.LOCAL)}))
    assert (found.check, found.level, found.remedy) == ("tables", Level.PROBLEM, "run: paidonce db distribute")
    assert found.found.endswith(": attempt")


def test_a_cluster_on_which_nothing_is_distributed_yet_is_a_warning() -> None:
    [found] = judged(msgspec.structs.replace(CLUSTER, places=dict.fromkeys(PLACES, Place(Kind.LOCAL))))
    assert (found.level, found.remedy) == (Level.WARNING, "run: paidonce db distribute")


def test_a_table_that_is_distributed_in_another_way_is_a_problem() -> None:
    other = Place(Kind.DISTRIBUTED, "id", 2, 32)
    [found] = judged(msgspec.structs.replace(CLUSTER, places={**PLACES, "checkout": other}))
    assert (found.level, found.found.endswith(": checkout")) == (Level.PROBLEM, True)


def test_a_node_that_does_not_respond_is_a_problem_with_what_the_cluster_says() -> None:
    [found] = judged(node(settings={}, error="connection refused"))
    assert (found.check, found.level) == ("node 10.0.0.2:5432", Level.PROBLEM)
    assert found.found.endswith(": connection refused")


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
def test_a_node_that_can_lose_commits_is_a_problem(setting: str) -> None:
    [found] = judged(node(settings={**SETTINGS, setting: "off"}))
    assert (found.level, f"{setting}=off" in found.found) == (Level.PROBLEM, True)


@pytest.mark.parametrize(
    ("interval_ms", "shown"),
    [("1000", None), ("5000", None), ("5001", "every 5.001 s"), ("60000", "every 60 s"), ("-1", "never")],
)
def test_a_node_that_seldom_recovers_transactions_in_doubt_is_a_warning(interval_ms: str, shown: str | None) -> None:
    found = judged(node(settings={**SETTINGS, "citus.recover_2pc_interval": interval_ms}))
    assert [one.level for one in found] == ([Level.WARNING] if shown else [])
    assert all(str(shown) in one.found for one in found)


def test_a_node_without_a_process_that_recovers_them_is_a_warning_about_its_worker_processes() -> None:
    [found] = judged(node(has_daemon=False))
    assert (found.level, "max_worker_processes is 8" in found.found) == (Level.WARNING, True)


@pytest.mark.parametrize(("used", "kept", "warned"), [(87, 1, False), (88, 1, True), (15, 10, False), (16, 10, True)])
def test_fewer_free_connections_than_a_process_may_keep_are_a_warning(used: int, kept: int, *, warned: bool) -> None:
    found = judged(msgspec.structs.replace(node(used_connections=used), kept_connections=kept))
    assert [one.level for one in found] == ([Level.WARNING] if warned else [])


def examined(url: str) -> dict[str, Finding]:
    found = examine_postgresql(parse_database_url(url), clock=system_clock, skew_ms_max=60_000)
    return {one.check: one for one in found}


@pytest.fixture
def cluster_url() -> Iterator[str]:
    """Yield a distributed database on the cluster, or skip the test."""
    with fresh_database(require_cluster()[0]) as url:
        yield url


def test_a_real_cluster_tells_of_each_of_its_nodes(cluster_url: str) -> None:
    found = examined(cluster_url)
    assert len([check for check in found if check.startswith("node ")]) == len(require_cluster())
    assert found["tables"].found.endswith("have 4 shards")
    assert {one.level for one in found.values()} <= {Level.OK, Level.WARNING}


def test_a_real_node_that_is_down_is_the_only_problem(cluster_url: str) -> None:
    with psycopg.connect(cluster_url, autocommit=True) as connection:
        connection.execute("UPDATE pg_dist_node SET nodeport = 1 WHERE nodeid = (SELECT max(nodeid) FROM pg_dist_node)")
    problems = [one for one in examined(cluster_url).values() if one.level is Level.PROBLEM]
    assert [one.check.rpartition(":")[2] for one in problems] == ["1"]
    assert "\n" not in problems[0].found


def test_a_cluster_is_only_good_after_the_distribution() -> None:
    with fresh_citus_database(require_cluster()) as url:
        assert examined(url)["schema"].level is Level.PROBLEM
        migrate_and_distribute(url)
        assert {examined(url)[check].level for check in ("schema", "tables")} == {Level.OK}


@pytest.mark.plain_postgresql(reason="its findings are more on a cluster")
def test_a_plain_postgresql_is_told_nothing_of_clusters(migrated_postgres_url: str) -> None:
    assert {"Citus", "tables"} & set(examined(migrated_postgres_url)) == set()
