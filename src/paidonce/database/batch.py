"""A batch: requests that are waiting at the same time run together and are committed in one transaction.

Each action runs once over all of its requests in the batch, so that one fsync pays for many requests. Under low load a
batch is a single request, and it does not wait for others. A batch that fails is split in halves until the failing
request is alone.

Where it fails because a node of a distributed database is lost, it is split by the nodes that store the data of its
requests. Requests of merchants on the other nodes are then served, and those on the lost node are refused without
being tried, until it responds again (docs/decisions/0055).
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

import structlog
from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeoutError

from paidonce.clock import Instant
from paidonce.database.citus.lost_nodes import Nodes, find_lost_nodes
from paidonce.database.citus.shard_keys import locate, shard_keys_in
from paidonce.database.faults import with_retries
from paidonce.database.transaction import DueKey, Transaction
from paidonce.errors import DatabaseUnavailable, Overloaded, PaidonceError
from paidonce.ids import Chance

log = structlog.get_logger()

Request = TypeVar("Request")
Outcome = TypeVar("Outcome")

Action: TypeAlias = Callable[[Transaction, Sequence[Request]], Sequence[Outcome]]
"""A use case over a batch. It returns one outcome for each request, in the same order, and recognizes work that it has
already done.
"""

BeginTransaction: TypeAlias = Callable[[], AbstractContextManager[Transaction]]
"""Opens a transaction that is committed when the block ends."""


class RunWork(Protocol):
    """Where a batch runs."""

    def __call__(self, begin: BeginTransaction, work: Callable[[Transaction], Outcome]) -> Outcome:
        """Run ``work`` in a transaction that ``begin`` opens, or in another that suffices for it; returns its result
        after the commit.
        """


JobResult: TypeAlias = tuple[int, Any]
"""The number of a job, and its outcome: a value, or an exception to raise."""

AGAIN_MAX: Final = 2  # Connections of the coordinator that a node's restart has closed fail once each.
SPLIT_SECONDS_MAX: Final = 1.0  # Of a batch, where requests for living nodes fail all the same: others wait meanwhile.
NOTHING_DUE: Final[Mapping[DueKey, Instant]] = {}
WAIT_SECONDS_MAX: Final = 5.0  # A request that waited longer is refused with Overloaded, and is not run.


class Job(NamedTuple):
    """A request that waits for its action. ``submitted_at`` is in seconds of the monotonic clock."""

    number: int
    action: Action[Any, Any]
    request: Any
    submitted_at: float


class CommitNotice(NamedTuple):
    """What was committed: whose logs have new events, and when rows are due, as ``Transaction.due`` has it."""

    tenants: frozenset[Any] = frozenset()
    due: Mapping[DueKey, Instant] = NOTHING_DUE

    def due_in(self, table: Table) -> dict[str, Instant]:
        """Return when the first rows of a table are due, by the worker that they are due for."""
        return {worker: at for (name, worker), at in self.due.items() if name == table.name}


class BatchResult(NamedTuple):
    """The result of each job in a batch, and a notice of what was committed."""

    results: list[JobResult]
    notice: CommitNotice


def run_in(begin: BeginTransaction, work: Callable[[Transaction], Outcome]) -> Outcome:
    """Run ``work`` in a transaction that ``begin`` opens; returns its result after the commit. Is a ``RunWork``."""
    with begin() as transaction:
        return work(transaction)


class BatchRunner:
    """Runs batches of at most ``limit`` jobs, one after the other, each in its own transaction."""

    def __init__(self, begin: BeginTransaction, *, limit: int, chance: Chance, run_work: RunWork = run_in) -> None:
        self.limit: Final = limit
        self._begin = begin
        self._run_work = run_work
        self._chance = chance
        self._committed: list[Transaction] = []
        self._nodes = Nodes()

    def run(self, jobs: Sequence[Job]) -> BatchResult:
        """Run a batch; returns a result for every job."""
        self._committed = []
        oldest_accepted = time.monotonic() - WAIT_SECONDS_MAX
        expired = [job for job in jobs if job.submitted_at < oldest_accepted]
        accepted = [job for job in jobs if job.submitted_at >= oldest_accepted]
        results = self._run(accepted)
        results += [(job.number, Overloaded()) for job in expired]
        return BatchResult(results, self._notice())

    def _notice(self) -> CommitNotice:
        due: dict[DueKey, Instant] = {}
        for transaction in self._committed:
            due |= {key: min(at, due.get(key, at)) for key, at in transaction.due.items()}
        return CommitNotice(
            frozenset(event.tenant for transaction in self._committed for event in transaction.events), due
        )

    def _run(self, jobs: Sequence[Job]) -> list[JobResult]:
        if not jobs:
            return []
        try:
            self._nodes.try_again(self._find_lost_nodes)
            if not self._nodes.lost:
                return self._run_together(jobs)
        except DatabaseUnavailable as error:
            if not error.is_of_one_node:
                return _refuse(jobs, error)
        return self._run_by_node(jobs)

    def _run_together(self, jobs: Sequence[Job]) -> list[JobResult]:
        """Run jobs in one transaction, or in halves where one of them has a defect. Raises DatabaseUnavailable."""
        try:
            return with_retries(lambda: self._commit(jobs), chance=self._chance)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            if len(jobs) == 1:
                if not isinstance(error, PaidonceError):
                    log.exception("action_failed", action=getattr(jobs[0].action, "__name__", "?"))
                return [(jobs[0].number, error)]
            middle = len(jobs) // 2
            return self._run(jobs[:middle]) + self._run(jobs[middle:])

    def _run_by_node(self, jobs: Sequence[Job]) -> list[JobResult]:
        """Run what is stored on living nodes, for each node on its own, and refuse the rest."""
        try:
            for _ in range(AGAIN_MAX):
                if not self._nodes.lost:
                    self._nodes.note(self._find_lost_nodes())
                if self._nodes.lost:
                    break
                try:  # All nodes respond: it may have been an old connection to one.
                    return self._run_together(jobs)
                except DatabaseUnavailable as error:
                    if not error.is_of_one_node:
                        raise
            groups, refused = self._group(jobs)
        except DatabaseUnavailable as error:
            return _refuse(jobs, error)
        results: list[JobResult] = [(job.number, DatabaseUnavailable(is_of_one_node=True)) for job in refused]
        deadline = time.monotonic() + SPLIT_SECONDS_MAX
        for group in groups:
            results += self._run_group(group, deadline)
        refusals = sum(isinstance(outcome, DatabaseUnavailable) for _, outcome in results)
        if refusals:
            log.warning("requests_of_lost_nodes_refused", requests=refusals, nodes=sorted(self._nodes.lost))
        return results

    def _run_group(self, jobs: Sequence[Job], deadline: float) -> list[JobResult]:
        """Run jobs whose data is stored on living nodes. One that reads from a lost node too is refused."""
        try:
            return self._run_together(jobs)
        except DatabaseUnavailable as error:
            if len(jobs) == 1 or not error.is_of_one_node or time.monotonic() > deadline:
                return [(job.number, error) for job in jobs]
            middle = len(jobs) // 2
            parts: list[Sequence[Job]] = [
                [job for job in jobs if job.action == one] for one in {job.action for job in jobs}
            ]
            if len(parts) == 1:
                parts = [jobs[:middle], jobs[middle:]]
            return [result for part in parts for result in self._run_group(part, deadline)]

    def _group(self, jobs: Sequence[Job]) -> tuple[list[list[Job]], list[Job]]:
        """Return the jobs in groups that share a fate, and those whose data is stored on a node that is lost.

        Jobs that may be about any merchant, such as claims, form a group for each action.
        """
        keys = {job.number: shard_keys_in(job.request) for job in jobs}

        def find() -> None:
            with self._begin() as transaction:
                found = locate(transaction.connection, unknown)
            self._nodes.node_of.update({key: one.node for key, one in found.items()})

        unknown = frozenset().union(*keys.values()) - self._nodes.node_of.keys()
        if unknown:
            _on_coordinator(find, chance=self._chance)
        groups: dict[object, list[Job]] = {}
        refused = []
        for job in jobs:
            nodes = frozenset(self._nodes.node_of.get(one, "") for one in keys[job.number])
            if nodes & self._nodes.lost:
                refused.append(job)
            else:
                groups.setdefault(nodes or job.action, []).append(job)
        return list(groups.values()), refused

    def _find_lost_nodes(self) -> frozenset[str]:
        def find() -> frozenset[str]:
            with self._begin() as transaction:
                return find_lost_nodes(transaction.connection)

        return _on_coordinator(find, chance=self._chance)

    @contextmanager
    def _begin_knowing_lost_nodes(self) -> Iterator[Transaction]:
        with self._begin() as transaction:
            transaction.lost_nodes = self._nodes.lost
            yield transaction

    def _commit(self, jobs: Sequence[Job]) -> list[JobResult]:
        transaction, results = self._run_work(self._begin_knowing_lost_nodes, partial(_run_actions, jobs))
        self._committed.append(transaction)
        return results


def _run_actions(jobs: Sequence[Job], transaction: Transaction) -> tuple[Transaction, list[JobResult]]:
    groups: dict[Action[Any, Any], list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.action, []).append(job)
    results: list[JobResult] = []
    for action, group in groups.items():
        outcomes = action(transaction, [job.request for job in group])
        results.extend((job.number, outcome) for job, outcome in zip(group, outcomes, strict=True))
    return transaction, results


def _refuse(jobs: Sequence[Job], error: DatabaseUnavailable) -> list[JobResult]:
    log.error("batch_refused", requests=len(jobs), cause=str(error.__cause__))
    return [(job.number, error) for job in jobs]


def _on_coordinator(ask: Callable[[], Outcome], *, chance: Chance) -> Outcome:
    """Ask the coordinator about its nodes. Raises DatabaseUnavailable also where it is not a coordinator."""
    try:
        return with_retries(ask, chance=chance)
    except (DBAPIError, PoolTimeoutError) as error:
        raise DatabaseUnavailable from error
