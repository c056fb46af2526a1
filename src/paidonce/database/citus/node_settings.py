"""Settings that every node of a Citus cluster needs.

The options of a connection hold on the node that it is opened to. From there Citus opens connections to the others,
with the defaults of their databases. Limits of time are no defaults: they would also end what an operator does there,
such as moving shards. They are set in each transaction (database/postgresql_engine.py).
"""

from typing import Final

from sqlalchemy import text

from paidonce.database.engine import Database
from paidonce.database.postgresql_engine import PLANNER_SETTINGS
from paidonce.errors import CannotDistribute

_CHANGES: Final = " ".join(
    f"EXECUTE format('ALTER DATABASE %I SET {name} = %L', current_database(), '{value}');"
    for name, value in PLANNER_SETTINGS.items()
)
# Each node for itself: a node that passed the change on would change what the others are changing.
_COMMAND: Final = f"DO $$BEGIN SET LOCAL citus.enable_ddl_propagation = off; {_CHANGES} END$$"
_ON_ALL_NODES: Final = text("SELECT nodeid, success, result FROM run_command_on_all_nodes(:command)")


def set_node_settings(database: Database) -> None:
    """Make our settings the defaults of this database on all nodes, for connections that are opened from now on.

    Raises CannotDistribute where a node refuses.
    """
    with database.reads.connect() as connection:
        failed = [
            f"node {row.nodeid}: {row.result}"
            for row in connection.execute(_ON_ALL_NODES, {"command": _COMMAND})
            if not row.success
        ]
    if failed:
        message = f"{database.url.shown} has nodes whose settings could not be changed: {'; '.join(failed)}."
        raise CannotDistribute(message)
