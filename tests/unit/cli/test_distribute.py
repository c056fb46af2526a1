"""``paidonce db distribute``: what it prints, and its exit status."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy.engine import make_url

from tests.support.citus import fresh_citus_database, require_cluster

Run = Callable[..., Result]


@pytest.mark.plain_postgresql(reason="a cluster is distributed")
def test_a_plain_postgresql_is_not_distributed(migrated_postgres_url: str, run: Run) -> None:
    result = run("db", "distribute", "--shards", "4", DATABASE_URL=migrated_postgres_url)
    assert (result.exit_code, result.stdout) == (2, "")
    name = make_url(migrated_postgres_url).database
    assert name
    assert name in result.stderr
    assert result.stderr.endswith(
        " is a plain PostgreSQL: the extension citus is not installed in this database. It can be served as it is."
        " docs/distributed.md says how to set up a cluster.\n"
    )
    assert result.stderr.count("\n") == 1


def test_sqlite_is_not_distributed_and_no_file_is_created(tmp_path: Path, run: Run) -> None:
    result = run("db", "distribute", DATABASE_URL="file:new.db")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "paidonce: SQLite in new.db cannot be distributed. Set DATABASE_URL to the coordinator of a Citus cluster.\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shards", ["0", "64001", "many"])
def test_a_number_of_shards_that_cannot_be_is_refused(run: Run, shards: str) -> None:
    assert run("db", "distribute", "--shards", shards).exit_code == 2


def test_a_cluster_is_upgraded_distributed_and_left_alone_the_second_time(run: Run) -> None:
    with fresh_citus_database(require_cluster()) as url:
        early = run("db", "distribute", DATABASE_URL=url)
        assert (early.exit_code, early.stderr.endswith("Run: paidonce db upgrade\n")) == (1, True)
        assert run("db", "upgrade", DATABASE_URL=url).exit_code == 0
        first = run("db", "distribute", "--shards", "4", DATABASE_URL=url)
        assert (first.exit_code, first.stderr) == (0, "")
        assert ": distributed over 4 shards: alembic_version, merchant, " in first.stdout
        second = run("db", "distribute", DATABASE_URL=url)
        assert (second.exit_code, second.stderr) == (0, "")
        assert second.stdout.endswith(" is distributed over 4 shards; nothing was left to do.\n")


def test_the_status_of_a_cluster_names_its_nodes_its_shards_and_what_is_left_to_do(run: Run) -> None:
    nodes = require_cluster()
    with fresh_citus_database(nodes) as url:
        run("db", "upgrade", DATABASE_URL=url)
        before = run("db", "status", DATABASE_URL=url)
        assert before.exit_code == 1
        assert "the tables of merchants have no shards." in before.stdout
        assert "\nNot distributed: alembic_version, merchant, " in before.stdout
        assert before.stdout.endswith("\nRun: paidonce db distribute\n")
        run("db", "distribute", "--shards", "4", DATABASE_URL=url)
        after = run("db", "status", DATABASE_URL=url)
        assert (after.exit_code, "Not distributed" in after.stdout) == (0, False)
        assert "the tables of merchants have 4 shards." in after.stdout
        assert [line.split()[0] for line in after.stdout.splitlines() if line.startswith("  ")] == [
            "coordinator",
            *["worker"] * (len(nodes) - 1),
        ]
        cluster = json.loads(run("db", "status", "--json", DATABASE_URL=url).stdout)["cluster"]
        assert (cluster["shards"], cluster["left_local"], cluster["misplaced"]) == (4, [], [])
        assert [node["error"] for node in cluster["nodes"]] == [None] * len(nodes)


@pytest.mark.plain_postgresql(reason="its status has a cluster")
def test_the_status_of_a_plain_postgresql_tells_nothing_of_clusters(migrated_postgres_url: str, run: Run) -> None:
    assert set(json.loads(run("db", "status", "--json", DATABASE_URL=migrated_postgres_url).stdout)) == {
        "database",
        "schema",
        "wanted",
    }
    assert run("db", "status", DATABASE_URL=migrated_postgres_url).stdout.count("\n") == 1
