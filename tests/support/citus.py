"""Databases on a Citus cluster that somebody else runs: ``TEST_CITUS_URLS`` names its nodes, the coordinator first."""

import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final, LiteralString

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from paidonce.clock import system_clock
from paidonce.database.citus.distribute import distribute
from paidonce.database_url import parse_database_url

VARIABLE: Final = "TEST_CITUS_URLS"
SHARDS: Final = 4  # As few as show what is distributed: each shard of each table costs time.


def cluster_urls() -> list[str]:
    """Return the URLs of the administrator's database on each node, the coordinator's first; none without a cluster."""
    return [url for url in re.split(r"[\s,]+", os.environ.get(VARIABLE, "")) if url]


def require_cluster() -> list[str]:
    """Return the URLs of the nodes, or skip the test where there is no cluster."""
    urls = cluster_urls()
    if not urls:
        pytest.skip(f"left out: {VARIABLE} names no Citus cluster")
    return urls


@contextmanager
def fresh_citus_database(nodes: Sequence[str]) -> Iterator[str]:
    """Create a database without tables on all nodes of a cluster, and join them; yields its URL on the coordinator."""
    name = f"test_{secrets.token_hex(8)}"
    with ExitStack() as stack:
        for node in nodes:
            execute(node, "CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0", name)
            stack.callback(execute, node, "DROP DATABASE {} WITH (FORCE)", name)
            execute(url_of(node, name), "CREATE EXTENSION citus")
        coordinator, *workers = [make_url(node) for node in nodes]
        url = url_of(nodes[0], name)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT citus_set_coordinator_host(%s, %s)", [coordinator.host, coordinator.port or 5432]
            )
            for worker in workers:
                connection.execute("SELECT citus_add_node(%s, %s)", [worker.host, worker.port or 5432])
        yield url


def distribute_database(url: str, *, shards: int = SHARDS) -> None:
    """Distribute a migrated database as ``paidonce db distribute`` does."""
    distribute(parse_database_url(url), clock=system_clock, shards=shards)


def url_of(node: str, database: str) -> str:
    """Return the URL of a database on the node of another."""
    return make_url(node).set(database=database).render_as_string(hide_password=False)


def execute(url: str, statement: LiteralString, *names: str) -> None:
    """Execute a statement outside of a transaction, with the names of objects filled in."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
