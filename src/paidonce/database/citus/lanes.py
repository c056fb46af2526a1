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
from paidonce.database.citus.shard_keys import Location, ShardKey, locate, merchant_fields_of
from paidonce.database.citus.shards import ShardOf
from paidonce.database.engine import Database
from paidonce.database.statement import CITUS, dialect_of

log = structlog.get_logger()

LOCATED_SECONDS_MAX: Final = 60.0  # An operator may have moved shards.
LOCATED_MAX: Final = 100_000  # Merchants whose node is remembered.
OTHER: Final = "other"

Locate: TypeAlias = Callable[[Collection[str]], Mapping[str, Location]]
"""Returns where each of these merchants is stored."""

MakeRunner: TypeAlias = Callable[[str, ShardOf], BatchRunner]
"""Makes the runner of the lane of a node, or of ``OTHER``, with what tells the shard of a merchant."""


def is_distributed(database: Database) -> bool:
    """Tell whether the tables of merchants are distributed over nodes; raises DBAPIError."""
    with database.reads.connect() as connection:
        return dialect_of(connection) == CITUS and read_places(connection)[FIRST_TABLE].kind is Kind.DISTRIBUTED


def locate_merchants(database: Database, merchants: Collection[str]) -> Mapping[str, Location]:
    """Ask where the data of these merchants is stored; raises DBAPIError."""
    with database.read() as transaction:
        found = locate(transaction.connection, [ShardKey(FIRST_TABLE, one) for one in merchants])
    return {key.value: place for key, place in found.items()}


class NodeLanes:
    """Runs jobs in a lane for each node."""

    def __init__(
        self,
        make_runner: MakeRunner,
        locate: Locate,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_runner = make_runner
        self._locate = locate
        self._monotonic = monotonic
        self._on_result: Callable[[BatchResult], None] = lambda _result: None
        self._lanes: dict[str, BatchThread] = {}
        self._located: dict[str, Location] = {}
        self._located_before: dict[str, Location] = {}
        self._located_until = 0.0

    def start(self, on_result: Callable[[BatchResult], None]) -> None:
        """Start. ``on_result`` is called with the result of each batch, in the thread of its lane."""
        self._on_result = on_result

    def dispatch(self, jobs: Sequence[Job]) -> None:
        """Queue jobs, each in the lane of its merchants' node."""
        merchants = [merchant_fields_of(job.request) for job in jobs]
        self._locate_all({one for of_job in merchants for one in of_job if one is not None})
        for job, of_job in zip(jobs, merchants, strict=True):
            places = [self._located.get(one) for one in of_job if one is not None]
            nodes = {OTHER if place is None else place.node for place in places}
            node = nodes.pop() if len(nodes) == 1 else OTHER
            self._lane(node, is_named=None not in of_job).put(job)

    def stop(self) -> None:
        """Run the jobs that are queued, then stop."""
        for lane in self._lanes.values():
            lane.stop()

    def _locate_all(self, merchants: set[str]) -> None:
        now = self._monotonic()
        if now >= self._located_until or len(self._located) > LOCATED_MAX:
            self._located_before, self._located = self._located, {}
            self._located_until = now + LOCATED_SECONDS_MAX
        unknown = merchants - self._located.keys()
        if not unknown:
            return
        try:
            self._located.update(self._locate(unknown))
        except Exception as error:  # noqa: BLE001 - whatever it was: batches tell what is wrong with the database
            log.warning("merchants_not_located", merchants=len(unknown), cause=str(error))

    def _shard_of(self, merchant_id: str) -> int | None:
        """Return the shard of a merchant that was located. Its number never becomes that of another shard."""
        found = self._located.get(merchant_id) or self._located_before.get(merchant_id)
        return found and found.shard

    def _lane(self, node: str, *, is_named: bool) -> BatchThread:
        """Return the lane of a node: another one for what names something without its merchant, which the node's own
        shards do not suffice for.
        """
        name = node if is_named or node == OTHER else f"{node}-any"
        if name not in self._lanes:
            runner = self._make_runner(node if name == node else OTHER, self._shard_of)
            self._lanes[name] = BatchThread(runner, self._on_result, name=f"writer-{name}")
        return self._lanes[name]
