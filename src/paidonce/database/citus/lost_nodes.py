"""Which nodes of a Citus cluster are lost. Nothing is asked or kept until a batch fails because of a node."""

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Final

import structlog
from sqlalchemy import Connection

from paidonce.database.citus.shard_keys import ShardKey
from paidonce.database.statement import execute_on_driver
from paidonce.errors import DatabaseUnavailable

log = structlog.get_logger()

# Until lost nodes are tried again: what is stored there is served a second after its return.
CHECK_SECONDS: Final = 0.5
CHECK_WAIT_SECONDS: Final = 0.1  # For such a try. One of a silent node takes longer, and the living ones do not wait.

_CHECK: Final = """
SELECT nodename || ':' || nodeport, citus_check_connection_to_node(nodename, nodeport)
FROM pg_dist_node WHERE noderole = 'primary' AND isactive AND shouldhaveshards
"""


class Nodes:
    """What this process knows of the nodes. ``monotonic`` returns the time in seconds."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._check_at = 0.0
        self._trying: Thread | None = None
        self._found: frozenset[str] | None = None
        self.node_of: dict[ShardKey, str] = {}  # As far as it was asked since the last check.
        self.lost: frozenset[str] = frozenset()

    def try_again(self, find: Callable[[], frozenset[str]]) -> None:
        """Where nodes are lost, and it is time to try them again, do so in a thread. Its result is taken when this is
        called again, or at once where it takes a moment only.
        """
        if self.lost and self._trying is None and self._monotonic() >= self._check_at:
            self._trying = Thread(target=self._try, args=[find], name="nodes", daemon=True)
            self._trying.start()
            self._trying.join(CHECK_WAIT_SECONDS)
        if self._trying is None or self._trying.is_alive():
            return
        self._trying = None
        self.note(self.lost if self._found is None else self._found)

    def _try(self, find: Callable[[], frozenset[str]]) -> None:
        self._found = None
        with suppress(DatabaseUnavailable):  # The coordinator does not respond: the next batch fails because of it.
            self._found = find()

    def note(self, lost: frozenset[str]) -> None:
        """Note which nodes do not respond."""
        self._check_at = self._monotonic() + CHECK_SECONDS
        if lost - self.lost:
            log.error("nodes_lost", nodes=sorted(lost - self.lost))
        if self.lost - lost:
            log.info("nodes_returned", nodes=sorted(self.lost - lost))
        self.lost = lost
        self.node_of.clear()  # An operator may have moved shards.


def find_lost_nodes(connection: Connection) -> frozenset[str]:
    """Try to connect to every node; returns those that do not respond. Raises DBAPIError where the database is not a
    distributed one. A connection that the coordinator keeps to a node is used, if there is one.
    """
    nodes = execute_on_driver(connection, _CHECK).fetchall()
    return frozenset(name for name, responds in nodes if not responds)
