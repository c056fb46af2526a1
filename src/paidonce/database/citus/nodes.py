"""Asks every node of a Citus cluster how it is configured. A node that is down is one of the answers."""

import json
from collections.abc import Mapping
from typing import Final

import msgspec
from sqlalchemy import Connection, text

CONNECT_MS_MAX: Final = 3000  # For a node whose host does not respond. Citus' own limit is 30 s.

DURABILITY: Final = ("fsync", "full_page_writes", "synchronous_commit")
CAPACITY: Final = (
    "max_connections",
    "superuser_reserved_connections",
    "max_worker_processes",
    "citus.recover_2pc_interval",
)

# Asked on a connection of the cluster itself, which has the settings that commits on that node are subject to.
_ASKED: Final = """
    SELECT json_build_object(
        'settings', (SELECT json_object_agg(name, setting) FROM pg_settings WHERE name IN ({names})),
        'used_connections', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
        'has_daemon', EXISTS (
            SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE 'Citus Maintenance Daemon%'
        )
    )
"""
_COMMAND: Final = _ASKED.format(names=", ".join(f"'{name}'" for name in (*DURABILITY, *CAPACITY)))

_LIMIT: Final = text(f"SET LOCAL citus.node_connection_timeout = {CONNECT_MS_MAX}")
_NODES: Final = text("""
    SELECT n.nodename, n.nodeport, n.groupid, n.isactive, n.shouldhaveshards, r.success, r.result,
           n.groupid = (SELECT groupid FROM pg_dist_local_group) AS is_here
    FROM pg_dist_node AS n LEFT JOIN run_command_on_all_nodes(:command) AS r ON r.nodeid = n.nodeid
    WHERE n.noderole = 'primary'
    ORDER BY n.groupid, n.nodename, n.nodeport
""")


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A primary node. ``settings`` is empty, and ``error`` says why, where it does not answer."""

    name: str
    is_coordinator: bool = False
    is_here: bool = False
    has_shards: bool = True
    error: str = ""
    settings: Mapping[str, str] = {}
    used_connections: int = 0
    has_daemon: bool = True


def read_nodes(connection: Connection) -> list[Node]:
    """Ask all nodes, the coordinator first. The connection must be in a transaction."""
    connection.execute(_LIMIT)
    nodes = []
    for row in connection.execute(_NODES, {"command": " ".join(_COMMAND.split())}):
        answer = json.loads(row.result) if row.success else {}
        nodes.append(
            Node(
                name=f"{row.nodename}:{row.nodeport}",
                is_coordinator=row.groupid == 0,
                is_here=row.is_here,
                has_shards=row.shouldhaveshards,
                error="" if row.success else " ".join((row.result or "it is disabled").split()),
                **answer,
            )
        )
    return nodes
