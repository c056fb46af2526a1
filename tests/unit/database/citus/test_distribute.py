"""``paidonce db distribute`` on a Citus cluster. Other databases: tests/unit/cli/test_distribute.py."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from paidonce.clock import system_clock
from paidonce.database.citus.distribute import distribute
from paidonce.database.citus.layout import (
    COORDINATOR_TABLES,
    DISTRIBUTION_COLUMNS,
    FIRST_TABLE,
    REFERENCE_TABLES,
    tables_in_order,
)
from paidonce.database.engine import open_database
from paidonce.database.schema import metadata
from paidonce.database_url import DatabaseUrl, parse_database_url
from paidonce.errors import CannotDistribute, SchemaOutdated
from tests.support.citus import execute, fresh_citus_database, require_cluster, url_of
from tests.support.databases import migrate_database

PLACES = """
    SELECT c.relname, p.partmethod, p.repmodel, column_to_column_name(p.logicalrelid, p.partkey), p.colocationid,
           pg_relation_size(c.oid)
    FROM pg_dist_partition AS p JOIN pg_class AS c ON c.oid = p.logicalrelid
"""

JOINED = """
    SELECT count(*) FROM attempt AS a JOIN checkout AS c ON c.id = a.checkout_id AND c.merchant_id = a.merchant_id
"""


@pytest.fixture
def url() -> Iterator[str]:
    """Yield a migrated database on the cluster, whose tables are all local."""
    with fresh_citus_database(require_cluster()) as url:
        migrate_database(url)
        yield url


def parsed(url: str) -> DatabaseUrl:
    return parse_database_url(url)


def run(url: str, shards: int | None = None) -> list[str]:
    return distribute(parsed(url), clock=system_clock, shards=shards).tables


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def check_places(url: str) -> None:
    """Assert that each table is where it belongs, and that the coordinator keeps no rows that are elsewhere."""
    found = {str(row[0]): row[1:] for row in rows(url, PLACES)}
    assert set(found) == {*DISTRIBUTION_COLUMNS, *COORDINATOR_TABLES, *REFERENCE_TABLES}
    group = found[FIRST_TABLE][3]
    for name, column in DISTRIBUTION_COLUMNS.items():
        assert found[name][0] == "h"
        assert found[name][2] == column
        assert (found[name][3] == group) is (name != "provider_webhook")
        assert found[name][4] == 0
    assert {found[name][:2] for name in COORDINATOR_TABLES} == {("n", "s")}
    assert {found[name][:2] for name in REFERENCE_TABLES} == {("n", "t")}


SHARDS_WITH_COPIES = """
    SELECT shardid FROM pg_dist_placement JOIN pg_dist_shard USING (shardid)
    WHERE logicalrelid IN (SELECT logicalrelid FROM pg_dist_partition WHERE partmethod = 'h')
    GROUP BY shardid HAVING count(*) > 1
"""


def add_rows(url: str) -> None:
    """Write rows that refer to each other."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO merchant (id, event_sequence, created_at) SELECT 'm' || n, 0, 0 FROM generate_series(1, 20) n"
        )
        connection.execute("""
            INSERT INTO checkout (id, merchant_id, idempotency_key, amount, currency, status, capture_method,
                created_at, updated_at, expires_at)
            SELECT 'c' || n, 'm' || n, 'k', 100, 'EUR', 'PROCESSING', 'automatic', 0, 0, 9 FROM generate_series(1, 20) n
        """)
        connection.execute("""
            INSERT INTO attempt (id, merchant_id, checkout_id, kind, status, provider, provider_key, payment_method,
                amount, currency, due_at, fence, created_at, updated_at)
            SELECT 'a' || n, 'm' || n, 'c' || n, 'CHARGE', 'READY', 'simulator', 'p' || n, 'card', 100, 'EUR',
                0, 0, 0, 0
            FROM generate_series(1, 20) n
        """)


def test_every_table_gets_its_place_and_a_second_run_finds_nothing_to_do(url: str) -> None:
    assert run(url, 4) == tables_in_order()
    check_places(url)
    assert run(url) == []
    assert run(url, 4) == []
    with pytest.raises(CannotDistribute, match="over 4 shards already, not over 8"):
        run(url, 8)


def test_rows_that_are_there_move_to_the_nodes_with_the_constraints_between_them(url: str) -> None:
    add_rows(url)
    run(url, 4)
    check_places(url)
    assert rows(url, JOINED) == [(20,)]
    nodes = rows(url, "SELECT DISTINCT nodename, nodeport FROM pg_dist_shard_placement")
    assert len(nodes) >= len(require_cluster()) - 1
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        rows(url, "UPDATE attempt SET checkout_id = 'none' WHERE id = 'a1' AND merchant_id = 'm1'")
    with pytest.raises(psycopg.errors.UniqueViolation):
        rows(url, "INSERT INTO merchant (id, event_sequence, created_at) VALUES ('m1', 0, 0)")


def test_tables_that_an_upgrade_adds_are_distributed_by_the_next_run(url: str) -> None:
    run(url, 4)
    database = open_database(parsed(url), clock=system_clock)
    for name in ("audit_entry", "search_term", "dispute"):  # One of each kind, and one with a foreign key.
        with database.writes.begin() as connection:
            metadata.tables[name].drop(connection)
            metadata.tables[name].create(connection)
    database.close()
    assert run(url) == ["audit_entry", "search_term", "dispute"]
    check_places(url)


def test_each_shard_is_on_one_node_whatever_the_cluster_does_by_default(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET citus.shard_replication_factor = 2").format(name))
    run(url, 4)
    check_places(url)
    assert rows(url, SHARDS_WITH_COPIES) == []


def test_of_two_runs_at_once_the_second_waits_and_finds_nothing_to_do(url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(run, [url, url], [4, 4]))
    assert sorted(done, key=len) == [[], tables_in_order()]
    check_places(url)


def test_a_run_that_fails_at_any_table_leaves_all_tables_as_they_were(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:  # A foreign key that cannot be distributed, at the end.
        connection.execute("CREATE TABLE other (id text PRIMARY KEY)")
        connection.execute("ALTER TABLE delivery_try ADD FOREIGN KEY (answer) REFERENCES other (id)")
    with pytest.raises(DBAPIError, match='referenced table "other" must be a distributed table'):
        run(url, 4)
    assert rows(url, PLACES) == []
    execute(url, "ALTER TABLE {} DROP CONSTRAINT {}", "delivery_try", "delivery_try_answer_fkey")
    run(url, 4)
    check_places(url)


def test_a_table_that_somebody_distributed_in_another_way_is_named_and_nothing_is_changed(url: str) -> None:
    rows(url, "SELECT create_distributed_table('search_term', 'term', shard_count => 4)")
    with pytest.raises(CannotDistribute, match=r"another way than this release needs: search_term\."):
        run(url, 4)
    assert [row[0] for row in rows(url, PLACES)] == ["search_term"]


def test_a_worker_node_refuses_to_distribute_and_names_the_coordinator(url: str) -> None:
    nodes = require_cluster()
    worker = url_of(nodes[1], str(make_url(url).database))
    with pytest.raises(CannotDistribute, match=r"is a worker node\. Set DATABASE_URL to the coordinator"):
        run(worker, 4)


def test_a_coordinator_that_does_not_know_its_own_address_is_refused(url: str) -> None:
    rows(url, "DELETE FROM pg_dist_node WHERE groupid = 0 RETURNING 1")
    with pytest.raises(CannotDistribute, match=r"SELECT citus_set_coordinator_host\('address', port\)"):
        run(url, 4)


def test_a_database_without_the_schema_of_this_release_is_not_distributed() -> None:
    with fresh_citus_database(require_cluster()) as url, pytest.raises(SchemaOutdated, match="paidonce db upgrade"):
        run(url, 4)
