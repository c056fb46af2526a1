"""The nodes of a distributed database (Citus): which of them are lost, and which store what requests are about.

Nothing is asked, and nothing is kept, until a transaction fails because of a node.
"""

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from threading import Thread
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from sqlalchemy import Connection

from paidonce.database.schema import merchant
from paidonce.database.statement import execute_on_driver
from paidonce.errors import DatabaseUnavailable

log = structlog.get_logger()

# Until lost nodes are tried again: what is stored there is served a second after its return.
CHECK_SECONDS: Final = 0.5
CHECK_WAIT_SECONDS: Final = 0.1  # For such a try. One of a silent node takes longer, and the living ones do not wait.
DEPTH_MAX: Final = 8  # Requests are shallow.

_CHECK: Final = """
SELECT nodename || ':' || nodeport, citus_check_connection_to_node(nodename, nodeport)
FROM pg_dist_node WHERE noderole = 'primary' AND isactive AND shouldhaveshards
"""
_LOCATE: Final = """
SELECT wanted.relation, wanted.value, node.nodename || ':' || node.nodeport, placement.shardid
FROM unnest(%s::text[], %s::text[]) AS wanted(relation, value)
JOIN pg_dist_placement AS placement
    ON placement.shardid = get_shard_id_for_distribution_column(wanted.relation::regclass, wanted.value)
JOIN pg_dist_node AS node ON node.groupid = placement.groupid AND node.noderole = 'primary'
"""


class ShardKey(NamedTuple):
    """What decides on which node rows are stored: a table, and the value of its distribution column."""

    table: str
    value: str


class Location(NamedTuple):
    """Where a row is stored: on a node, in a shard of its table."""

    node: str
    shard: int


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


def locate(connection: Connection, keys: Collection[ShardKey]) -> dict[ShardKey, Location]:
    """Ask the coordinator where the rows with these keys are stored; raises DBAPIError."""
    asked = [[one.table for one in keys], [one.value for one in keys]]
    rows = execute_on_driver(connection, _LOCATE, asked).fetchall()
    return {ShardKey(table, value): Location(node, shard) for table, value, node, shard in rows}


def shard_keys_in(request: object) -> frozenset[ShardKey]:
    """Return where the rows are stored that a request is about: by the ``shard_key`` that it declares, and otherwise by
    the merchants that it names. Empty where it may be about any.
    """
    declared = getattr(request, "shard_key", None)
    if isinstance(declared, ShardKey):
        return frozenset([declared])
    return frozenset(ShardKey(merchant.name, one) for one in merchants_in(request))


def merchants_in(request: object) -> frozenset[str]:
    """Return the ids of the merchants that a request names: every field ``merchant_id`` in it, however deep."""
    return frozenset(one for one in merchant_fields_of(request) if one is not None)


def merchant_fields_of(request: object) -> frozenset[str | None]:
    """Do the same. None is among them where the request names something that may be any merchant's."""
    found: set[str | None] = set()
    _collect(request, found, DEPTH_MAX)
    return frozenset(found)


def _collect(value: Any, found: set[str | None], depth: int) -> None:  # noqa: ANN401 - any request
    if depth == 0:
        return
    fields: Mapping[str, Any] = {}
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.asdict(value)
    elif isinstance(value, tuple) and hasattr(value, "_asdict"):
        fields = value._asdict()
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            _collect(one, found, depth - 1)
    elif isinstance(value, dict):
        for one in (*value.keys(), *value.values()):
            _collect(one, found, depth - 1)
    for name, one in fields.items():
        if name == "merchant_id" and (one is None or isinstance(one, str)):
            found.add(one)
        else:
            _collect(one, found, depth - 1)
