"""Checks whether PostgreSQL servers keep what they have committed: the one that the service uses, and all nodes of a
cluster.
"""

from collections.abc import Mapping
from typing import Final

import structlog
from sqlalchemy import text

from paidonce.database.citus.layout import left_local, read_places
from paidonce.database.citus.nodes import DURABILITY, read_nodes
from paidonce.database.engine import Database
from paidonce.errors import NotDurable

log = structlog.get_logger()

_SERVER: Final = text("""
    SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
           EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') AS is_cluster
""")


def require_durable_server(database: Database) -> None:
    """Raise NotDurable where a PostgreSQL server runs with settings under which a crash can lose commits."""
    if database.url.dialect != "postgresql":
        return
    with database.reads.connect() as connection:
        server = connection.execute(_SERVER).one()
    require_durable_settings(database.url.shown, {"fsync": server.fsync, "full_page_writes": server.full_page_writes})
    if server.is_cluster:
        _require_durable_nodes(database)


def _require_durable_nodes(database: Database) -> None:
    """Check all other nodes. One that is down does not prevent the start: merchants of the others are served."""
    with database.writes.begin() as connection:
        nodes = read_nodes(connection)
        left = left_local(read_places(connection))
    for node in nodes:
        if node.error:
            log.warning("node_not_checked", node=node.name, error=node.error)
        elif not node.is_here:  # Our own connections turn synchronous_commit on.
            values = {name: node.settings[name] for name in DURABILITY}
            require_durable_settings(f"the node {node.name} of {database.url.shown}", values)
    if left:
        log.warning("tables_not_distributed", tables=left, remedy="paidonce db distribute")


def require_durable_settings(place: str, values: Mapping[str, str]) -> None:
    """Raise NotDurable where one of a server's settings is off, and name all that are."""
    off = [name for name, value in values.items() if value == "off"]
    if off:
        message = f"{place} runs with {' and '.join(f'{name}=off' for name in off)}; it would lose commits. Turn it on."
        raise NotDurable(message)
