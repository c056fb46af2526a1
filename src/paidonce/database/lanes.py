"""Lanes: on a distributed database (Citus), the requests for the merchants of each node run in batches of their own.

A batch for one node needs no two-phase commit, and its statements concern the shards of that node only. Batches for
several nodes run at the same time. Requests of no merchant, or of merchants on several nodes, have a lane of their own.

Requests of one merchant are in one lane and run in the order of their arrival. Nothing else depends on the lanes: two
of them are to the database what two processes are. So an old answer to which node stores a merchant does no harm.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, TypeAlias

import structlog

from paidonce.database.batch import BatchResult, BatchRunner, Job
from paidonce.database.batch_thread import BatchThread
from paidonce.database.citus.layout import FIRST_TABLE, Kind, read_places
from paidonce.database.engine import Database
from paidonce.database.nodes import ShardKey, find_nodes_of, merchants_in
from paidonce.database.statement import CITUS, dialect_of

log = structlog.get_logger()

LANES_MAX: Final = 6  # For nodes: with one more for other requests, and what locates merchants, all connections.
LOCATED_SECONDS_MAX: Final = 60.0  # An operator may have moved shards.
LOCATED_MAX: Final = 100_000  # Merchants whose node is remembered.
OTHER: Final = "other"

Locate: TypeAlias = Callable[[Collection[str]], Mapping[str, str]]
"""Returns the node of each of these merchants."""


def is_distributed(database: Database) -> bool:
    """Tell whether the tables of merchants are distributed over nodes; raises DBAPIError."""
    with database.reads.connect() as connection:
        return dialect_of(connection) == CITUS and read_places(connection)[FIRST_TABLE].kind is Kind.DISTRIBUTED


def locate_merchants(database: Database, merchants: Collection[str]) -> Mapping[str, str]:
    """Ask which nodes store the data of these merchants; raises DBAPIError."""
    with database.read() as transaction:
        found = find_nodes_of(transaction.connection, [ShardKey(FIRST_TABLE, one) for one in merchants])
    return {key.value: node for key, node in found.items()}


class NodeLanes:
    """Runs jobs in a lane for each node. ``make_runner`` makes the runner of a lane."""

    def __init__(
        self,
        make_runner: Callable[[], BatchRunner],
        locate: Locate,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_runner = make_runner
        self._locate = locate
        self._monotonic = monotonic
        self._on_result: Callable[[BatchResult], None] = lambda _result: None
        self._lanes: dict[str, BatchThread] = {}
        self._lane_of_node: dict[str, str] = {}
        self._node_of: dict[str, str] = {}
        self._located_until = 0.0

    def start(self, on_result: Callable[[BatchResult], None]) -> None:
        """Start. ``on_result`` is called with the result of each batch, in the thread of its lane."""
        self._on_result = on_result

    def dispatch(self, jobs: Sequence[Job]) -> None:
        """Queue jobs, each in the lane of its merchants' node."""
        merchants = [merchants_in(job.request) for job in jobs]
        self._locate_all(frozenset().union(*merchants))
        for job, of_job in zip(jobs, merchants, strict=True):
            nodes = {self._node_of.get(one, OTHER) for one in of_job}
            self._lane(nodes.pop() if len(nodes) == 1 else OTHER).put(job)

    def stop(self) -> None:
        """Run the jobs that are queued, then stop."""
        for lane in self._lanes.values():
            lane.stop()

    def _locate_all(self, merchants: frozenset[str]) -> None:
        now = self._monotonic()
        if now >= self._located_until or len(self._node_of) > LOCATED_MAX:
            self._node_of.clear()
            self._located_until = now + LOCATED_SECONDS_MAX
        unknown = merchants - self._node_of.keys()
        if not unknown:
            return
        try:
            self._node_of.update(self._locate(unknown))
        except Exception as error:  # noqa: BLE001 - whatever it was: batches tell what is wrong with the database
            log.warning("merchants_not_located", merchants=len(unknown), cause=str(error))

    def _lane(self, node: str) -> BatchThread:
        name = self._lane_of_node.get(node)
        if name is None:
            name = OTHER if node == OTHER else f"lane-{len(self._lane_of_node.keys() - {OTHER}) % LANES_MAX}"
            self._lane_of_node[node] = name
        if name not in self._lanes:
            self._lanes[name] = BatchThread(self._make_runner(), self._on_result, name=f"writer-{name}")
        return self._lanes[name]
