"""Databases on a Citus cluster that somebody else runs: ``TEST_CITUS_URLS`` names its nodes, the coordinator first.

With it, all tests that use PostgreSQL run on distributed databases. Each is a copy of one that is migrated, distributed
and without rows, which the session creates once.
"""

import os
import re
import secrets
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final, LiteralString

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from paidonce.clock import system_clock
from paidonce.database.citus.distribute import distribute
from paidonce.database.citus.node_settings import set_node_settings
from paidonce.database.engine import open_database
from paidonce.database.migrate import migrate
from paidonce.database_url import parse_database_url

VARIABLE: Final = "TEST_CITUS_URLS"
# A command that is called with "kill", "start", "pause" or "resume" and the number of a node in the list: 0 is the
# coordinator. It returns when the node is gone, serves, or has stopped to run while its connections stay open.
KILL_VARIABLE: Final = "TEST_CITUS_KILL"
TEMPLATE_VARIABLE: Final = "TEST_CITUS_TEMPLATE"  # Set by the main process of a session, for all of its processes.
END_ALL_CONNECTIONS: Final = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = %s"
_MERCHANTS_ON_NODE: Final = """
    SELECT id FROM unnest(%s::text[]) AS wanted(id)
    JOIN pg_dist_placement ON shardid = get_shard_id_for_distribution_column('merchant', id)
    JOIN pg_dist_node USING (groupid)
    WHERE nodeport = %s
"""
_WAITING_FOR_LOCKS: Final = sql.SQL(
    "SELECT count(*) FROM {} WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
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


def require_killing() -> None:
    """Skip the test where nothing can kill the nodes."""
    if not os.environ.get(KILL_VARIABLE):
        pytest.skip(f"left out: {KILL_VARIABLE} names no command that kills and starts nodes")


def kill_node(number: int) -> None:
    """Kill a node of the cluster, as a crash would."""
    _run_on_node("kill", number)


def start_node(number: int) -> None:
    """Start a node that was killed."""
    _run_on_node("start", number)


def pause_node(number: int) -> None:
    """Stop all processes of a node, whose connections stay open: it is silent."""
    _run_on_node("pause", number)


def resume_node(number: int) -> None:
    """Let the processes of a node that was paused go on."""
    _run_on_node("resume", number)


def merchants_on_node(url: str, merchants: Sequence[str], *, number: int) -> set[str]:
    """Return which of these merchants have their data on a node, in a distributed database."""
    port = make_url(cluster_urls()[number]).port or 5432
    with psycopg.connect(url, autocommit=True) as connection:
        return {merchant for (merchant,) in connection.execute(_MERCHANTS_ON_NODE, [list(merchants), port])}


def waiting_for_locks(url: str) -> int:
    """Count the transactions of a PostgreSQL database that wait for a lock, on all nodes of a cluster."""
    activity = sql.Identifier("citus_stat_activity" if cluster_urls() else "pg_stat_activity")
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(_WAITING_FOR_LOCKS.format(activity)).fetchone()
        assert row is not None
        count: int = row[0]
        return count


def _run_on_node(what: str, number: int) -> None:
    command = [*shlex.split(os.environ[KILL_VARIABLE]), what, str(number)]
    # A server that it starts keeps the pipes of its output, so there are none.
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def name_template() -> None:
    """Choose the name of the template for this session."""
    os.environ[TEMPLATE_VARIABLE] = f"test_template_{secrets.token_hex(8)}"


def template(nodes: Sequence[str]) -> str:
    """Return the name of the session's distributed database without rows, which the first process creates."""
    name = os.environ[TEMPLATE_VARIABLE]
    with psycopg.connect(nodes[0], autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return name
        for node in nodes:
            execute(node, "CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0", name)
        url = join_nodes(nodes, name)
        migrate_and_distribute(url)
        for node in nodes:
            _close_database(node, name)  # A database with connections cannot be copied.
    return name


def drop_template() -> None:
    """Drop the template at the end of the session."""
    for node in cluster_urls():
        drop_database(node, os.environ[TEMPLATE_VARIABLE])


def drop_database(node: str, name: str) -> None:
    """Drop a database on one node, if it exists."""
    with psycopg.connect(node, autocommit=True) as connection:
        exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
    if exists:
        _close_database(node, name)
        execute(node, "DROP DATABASE {} WITH (FORCE)", name)


def _close_database(node: str, name: str) -> None:
    """End all connections to a database, of which the extension keeps and opens some itself, and allow no others."""
    execute(node, "ALTER DATABASE {} ALLOW_CONNECTIONS false", name)
    with psycopg.connect(node, autocommit=True) as connection:
        connection.execute(END_ALL_CONNECTIONS, [name])


@contextmanager
def fresh_citus_database(nodes: Sequence[str]) -> Iterator[str]:
    """Create a database without tables on all nodes of a cluster, and join them; yields its URL on the coordinator."""
    name = f"test_{secrets.token_hex(8)}"
    with ExitStack() as stack:
        for node in nodes:
            execute(node, "CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0", name)
            stack.callback(drop_database, node, name)
        yield join_nodes(nodes, name)


def join_nodes(nodes: Sequence[str], name: str) -> str:
    """Join the databases of this name on all nodes to one; returns its URL on the coordinator."""
    for node in nodes:
        execute(url_of(node, name), "CREATE EXTENSION citus")
    coordinator, *workers = [make_url(node) for node in nodes]
    url = url_of(nodes[0], name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT citus_set_coordinator_host(%s, %s)", [coordinator.host, coordinator.port or 5432])
        for worker in workers:
            connection.execute("SELECT citus_add_node(%s, %s)", [worker.host, worker.port or 5432])
    return url


def migrate_and_distribute(url: str, *, shards: int = SHARDS) -> None:
    """Do what ``paidonce db upgrade`` and ``paidonce db distribute`` do."""
    parsed = parse_database_url(url)
    database = open_database(parsed, clock=system_clock)
    try:
        migrate(database)
    finally:
        database.close()
    distribute(parsed, clock=system_clock, shards=shards)


def set_settings(url: str) -> None:
    """Set on all nodes what ``paidonce db distribute`` sets."""
    database = open_database(parse_database_url(url), clock=system_clock)
    try:
        set_node_settings(database)
    finally:
        database.close()


def url_of(node: str, database: str) -> str:
    """Return the URL of a database on the node of another."""
    return make_url(node).set(database=database).render_as_string(hide_password=False)


def execute(url: str, statement: LiteralString, *names: str) -> None:
    """Execute a statement outside of a transaction, with the names of objects filled in."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
