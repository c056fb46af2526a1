"""Examines a Citus cluster: where its tables are, and each of its nodes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection

from paidonce.database.citus.layout import FIRST_TABLE, Kind, Place, citus_version, left_local, misplaced, read_places
from paidonce.database.citus.nodes import DURABILITY, Node, read_nodes
from paidonce.database.health import Finding, Level

MAJOR_VERSION_MIN: Final = 13  # The oldest that paidonce was tested with.
CONNECTIONS_OF_A_PROCESS: Final = 8  # The size of the pool and its overflow, in database/engine.py.
CONNECTIONS_TO_A_NODE: Final = 2  # The same for writes to a node itself.
RECOVERY_MS_MAX: Final = 5000  # A transaction in doubt holds up its merchants for that long after a node's return.
NEVER: Final = -1


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """What a cluster reports. ``kept_connections`` is how many a connection to it keeps open to each other node."""

    version: str
    places: Mapping[str, Place]
    nodes: Sequence[Node]
    kept_connections: int = 1

    @property
    def left_local(self) -> list[str]:
        """The tables that are not distributed yet."""
        return left_local(self.places)

    @property
    def shards(self) -> int:
        """Over how many shards the tables of merchants are distributed; 0 where they are not."""
        return self.places[FIRST_TABLE].shards if FIRST_TABLE in self.places else 0


def read_cluster(connection: Connection) -> Cluster | None:
    """Read all of it, within a transaction; None on a plain PostgreSQL, after one statement."""
    version = citus_version(connection)
    if version is None:
        return None
    kept: str = connection.exec_driver_sql("SHOW citus.max_cached_conns_per_worker").scalar_one()
    return Cluster(
        version=version,
        places=read_places(connection),
        nodes=read_nodes(connection),
        kept_connections=max(1, int(kept)),
    )


def check_cluster(cluster: Cluster) -> Iterator[Finding]:
    """Check everything that a cluster reports."""
    yield _check_version(cluster.version)
    yield check_tables(cluster)
    for node in cluster.nodes:
        yield check_node(node, kept_connections=cluster.kept_connections)


def _check_version(version: str) -> Finding:
    if int(version.partition(".")[0]) >= MAJOR_VERSION_MIN:
        return Finding("Citus", Level.OK, version)
    found = f"{version} is older than {MAJOR_VERSION_MIN}, the oldest version that paidonce is tested with"
    return Finding("Citus", Level.WARNING, found, "upgrade the extension on all nodes")


def check_tables(cluster: Cluster) -> Finding:
    """Check whether every table is where it belongs."""
    wrong, left = misplaced(cluster.places), cluster.left_local
    if wrong:
        found = f"distributed in another way than this release needs: {', '.join(wrong)}"
        return Finding("tables", Level.PROBLEM, found, "see docs/distributed.md for how to move them")
    if left and all(place.kind is Kind.LOCAL for place in cluster.places.values()):
        found = "no table is distributed: all rows are on the coordinator"
        return Finding("tables", Level.WARNING, found, "run: paidonce db distribute")
    if left:
        found = f"not distributed, and only on the coordinator: {', '.join(left)}"
        return Finding("tables", Level.PROBLEM, found, "run: paidonce db distribute")
    return Finding("tables", Level.OK, f"every table is in its place; those of merchants have {cluster.shards} shards")


def check_node(node: Node, *, kept_connections: int) -> Finding:
    """Check what a node is configured for. Everything that is wrong is in one finding, the worst first."""
    check = f"node {node.name}"
    if node.error:
        found = f"does not respond, and merchants whose rows it has are not served: {node.error}"
        return Finding(check, Level.PROBLEM, found, "start it, or replace it by a standby: see docs/distributed.md")
    off = [name for name in DURABILITY if node.settings[name] == "off"]
    if off:
        found = f"runs with {' and '.join(f'{name}=off' for name in off)}: a crash can lose acknowledged commits"
        return Finding(check, Level.PROBLEM, found, "turn it on with ALTER SYSTEM on that node")
    for found, remedy in _weaknesses(node, kept_connections):
        return Finding(check, Level.WARNING, found, remedy)
    used = f"{node.used_connections} of {_allowed_connections(node)} connections in use"
    return Finding(check, Level.OK, f"{'coordinator' if node.is_coordinator else 'worker'}, durable, {used}")


def _weaknesses(node: Node, kept_connections: int) -> Iterator[tuple[str, str]]:
    """Yield what is found and its remedy."""
    if not node.has_daemon:
        allowed = node.settings["max_worker_processes"]
        found = f"no process recovers this database's transactions in doubt; max_worker_processes is {allowed}"
        yield found, "raise max_worker_processes on that node: each database needs one, and rebalancing more"
    interval_ms = int(node.settings["citus.recover_2pc_interval"])
    if interval_ms == NEVER or interval_ms > RECOVERY_MS_MAX:
        every = "never" if interval_ms == NEVER else f"every {interval_ms / 1000:g} s"
        found = f"recovers transactions in doubt {every}; until then they hold up merchants after a node's return"
        yield found, "set citus.recover_2pc_interval to 1s on every node"
    allowed_connections = _allowed_connections(node)
    free, needed = (
        allowed_connections - node.used_connections,
        CONNECTIONS_OF_A_PROCESS * kept_connections + CONNECTIONS_TO_A_NODE,
    )
    if free < needed:
        found = f"{free} of {allowed_connections} connections are left; each process of paidonce may keep {needed}"
        yield found, "raise max_connections, or lower citus.max_cached_conns_per_worker on the coordinator"


def _allowed_connections(node: Node) -> int:
    return int(node.settings["max_connections"]) - int(node.settings["superuser_reserved_connections"])
