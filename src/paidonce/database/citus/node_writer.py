"""Transactions on a node itself, as long as this process can reach it. Otherwise they pass through the coordinator."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError

from paidonce.database.batch import BeginTransaction, Outcome, run_in
from paidonce.database.citus.shards import NeedsCoordinator
from paidonce.database.engine import Database
from paidonce.database.faults import Fault, classify
from paidonce.database.transaction import Transaction

log = structlog.get_logger()

TRY_AGAIN_SECONDS: Final = 5.0


class NodeWriter:
    """Writes to the shards of one node. It connects in a thread of its own: nobody waits for a node that is silent.

    ``run`` is where a batch runs: on the node what its shards suffice for, and the rest through the coordinator.
    """

    def __init__(self, database: Database, node: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._node = node
        self._monotonic = monotonic
        self._is_connected = False
        self._is_reported = False
        self._try_at = 0.0
        self._trying: Thread | None = None

    def is_usable(self) -> bool:
        """Whether the node could be reached last. Where it could not, and it is time, begin to try it again."""
        if self._is_connected:
            return True
        is_trying = self._trying is not None and self._trying.is_alive()
        if not is_trying and self._monotonic() >= self._try_at:
            self._try_at = self._monotonic() + TRY_AGAIN_SECONDS
            self._trying = Thread(target=self._connect, name=f"connect-{self._node}", daemon=True)
            self._trying.start()
        return False

    def run(self, begin: BeginTransaction, work: Callable[[Transaction], Outcome]) -> Outcome:
        """Run work on the node or, where it needs more or the node cannot be reached, by ``begin``."""
        if self.is_usable():
            with suppress(NeedsCoordinator):
                return run_in(self.write, work)
        return run_in(begin, work)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Run a write transaction on the node's shards. Raises NeedsCoordinator where it is about anything else."""
        try:
            with self._database.write() as transaction:
                yield transaction
        except DBAPIError as error:
            if classify(error) is Fault.CONNECTION:
                self._disconnected(error)
            raise

    def wait_for_try(self) -> None:
        """Wait until a try to connect that was begun has ended."""
        if self._trying is not None:
            self._trying.join()

    def close(self) -> None:
        """Close the connection."""
        self.wait_for_try()
        self._database.close()

    def _connect(self) -> None:
        try:
            with self._database.write_connections.connection():
                self._is_connected = True
        except Exception as error:  # noqa: BLE001 - whatever it was: the coordinator is used
            self._disconnected(error)
            return
        self._is_reported = False
        log.info("node_connected", node=self._node)

    def _disconnected(self, error: Exception) -> None:
        self._is_connected = False
        self._try_at = self._monotonic() + TRY_AGAIN_SECONDS
        if not self._is_reported:
            self._is_reported = True
            log.warning("node_not_connected", node=self._node, used="coordinator", cause=" ".join(str(error).split()))
