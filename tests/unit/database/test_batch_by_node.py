"""A batch where a node of a distributed database is lost: what is served, what is refused, and who is told."""

import time
from collections import Counter
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import pytest
from sqlalchemy.exc import ProgrammingError, TimeoutError as PoolTimeoutError
from structlog.testing import capture_logs

from paidonce.database import batch as module
from paidonce.database.batch import Action, BatchRunner, Job
from paidonce.database.citus.shard_keys import Location, ShardKey
from paidonce.database.transaction import Transaction
from paidonce.errors import DatabaseUnavailable, PaidonceError

ONE_NODE = "of one node"


class Wanted(NamedTuple):
    """A request about a merchant; about any of them without one."""

    merchant_id: str | None
    number: int = 0


class Cluster:
    """Merchants on nodes by the first letter of their ids. ``lost`` are the nodes that do not respond, and ``known``
    those that the coordinator says it of. ``ran`` has the numbers of the requests of each transaction.
    """

    def __init__(self) -> None:
        self.lost: set[str] = set()
        self.known: set[str] | None = None
        self.failing: list[DatabaseUnavailable] = []
        self.no_coordinator: Exception | None = None
        self.asked: Counter[str] = Counter()
        self.ran: list[list[int]] = []
        self.told_lost: list[frozenset[str]] = []
        self.connection = self
        self.events: list[Any] = []
        self.due: dict[Any, int] = {}
        self.lost_nodes: frozenset[str] = frozenset()
        self.runner = BatchRunner(self.begin, limit=100, chance=lambda: 0.0)

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        yield cast("Transaction", self)

    def find_lost(self, _connection: object) -> frozenset[str]:
        self.asked["lost"] += 1
        if self.no_coordinator:
            raise self.no_coordinator
        return frozenset(self.lost if self.known is None else self.known)

    def locate(self, _connection: object, keys: Sequence[ShardKey]) -> dict[ShardKey, Location]:
        assert keys, "a statement that asks for no place"
        self.asked["located"] += len(keys)
        return {key: Location(key.value[0], 1) for key in keys}

    def serve(self, transaction: Transaction, requests: Sequence[Wanted]) -> list[int]:
        """Serve what is stored on nodes that respond."""
        if self.failing:
            raise self.failing.pop(0)
        self.ran.append([one.number for one in requests])
        self.told_lost.append(transaction.lost_nodes)
        if any(one.merchant_id is not None and one.merchant_id[0] in self.lost for one in requests):
            raise DatabaseUnavailable(is_of_one_node=True)
        return [one.number for one in requests]

    def serve_others(self, transaction: Transaction, requests: Sequence[Wanted]) -> list[int]:
        """Do the same, as another action."""
        return self.serve(transaction, requests)

    def run(self, *merchants: str | None, action: Action[Any, Any] | None = None) -> list[Any]:
        """Run a request for each of these merchants; returns the outcomes, with a word for each refusal."""
        requests = [Wanted(one, number) for number, one in enumerate(merchants)]
        return self.run_jobs([Job(one.number, action or self.serve, one, time.monotonic()) for one in requests])

    def run_jobs(self, jobs: Sequence[Job]) -> list[Any]:
        results = dict(self.runner.run(jobs).results)
        assert results.keys() == {job.number for job in jobs}
        return [told(results[job.number]) for job in jobs]


def told(outcome: object) -> object:
    if not isinstance(outcome, DatabaseUnavailable):
        return outcome
    return ONE_NODE if outcome.is_of_one_node else "unavailable"


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as entries:
        yield entries


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setattr(module, "find_lost_nodes", made.find_lost)
    monkeypatch.setattr(module, "locate", made.locate)
    return made


def test_while_all_nodes_respond_nothing_is_asked_about_them(cluster: Cluster) -> None:
    assert cluster.run("a1", "b1") == [0, 1]
    assert (cluster.asked, cluster.ran) == ({}, [[0, 1]])


def test_requests_of_living_nodes_are_served_and_those_of_a_lost_one_are_refused(
    cluster: Cluster, logged: list[MutableMapping[str, Any]]
) -> None:
    cluster.lost = {"b"}
    assert cluster.run("a1", "b1", "c1", "a2", None) == [0, ONE_NODE, 2, 3, 4]
    assert sorted(cluster.ran[1:]) == [[0, 3], [2], [4]]  # Each node on its own, after the whole batch.
    assert cluster.told_lost == [frozenset(), *[frozenset({"b"})] * 3]
    assert {"event": "requests_of_lost_nodes_refused", "requests": 1, "nodes": ["b"], "log_level": "warning"} in logged


def test_a_lost_node_and_the_places_of_merchants_are_asked_for_once(cluster: Cluster) -> None:
    cluster.lost = {"b"}
    for _ in range(2):
        assert cluster.run("a1", "b1") == [0, ONE_NODE]
    assert cluster.asked == {"lost": 1, "located": 2}
    assert [0, 1] not in cluster.ran[1:]  # What is refused is not tried again.


def test_where_all_nodes_respond_after_all_the_batch_is_run_again(
    cluster: Cluster, logged: list[MutableMapping[str, Any]]
) -> None:
    cluster.failing = [DatabaseUnavailable(is_of_one_node=True) for _ in range(2)]  # Two old connections.
    assert cluster.run("a1", "b1") == [0, 1]
    assert (cluster.ran, cluster.asked["lost"], logged) == ([[0, 1]], 2, [])


def test_where_a_node_fails_that_is_not_known_to_be_lost_only_its_own_requests_are_refused(cluster: Cluster) -> None:
    cluster.lost, cluster.known = {"b"}, set()
    assert cluster.run("a1", "b1", "a2", "b2") == [0, ONE_NODE, 2, ONE_NODE]
    assert cluster.asked == {"lost": module.AGAIN_MAX, "located": 4}


def test_a_database_that_is_gone_refuses_the_whole_batch_and_is_asked_nothing(
    cluster: Cluster, logged: list[MutableMapping[str, Any]]
) -> None:
    cluster.failing = [DatabaseUnavailable()]
    assert cluster.run("a1", "b1") == ["unavailable"] * 2
    assert (cluster.ran, cluster.asked) == ([], {})
    assert [(one["event"], one["requests"]) for one in logged] == [("batch_refused", 2)]


def test_a_database_that_is_gone_while_its_nodes_are_asked_for_refuses_the_whole_batch(cluster: Cluster) -> None:
    cluster.failing = [DatabaseUnavailable(is_of_one_node=True), DatabaseUnavailable()]
    assert cluster.run("a1", "b1") == ["unavailable"] * 2
    assert cluster.asked == {"lost": 1}


@pytest.mark.parametrize(
    "error", [ProgrammingError("SELECT", None, Exception("no such function")), PoolTimeoutError("no connection")]
)
def test_a_database_that_cannot_tell_of_its_nodes_refuses_the_whole_batch(cluster: Cluster, error: Exception) -> None:
    cluster.failing = [DatabaseUnavailable(is_of_one_node=True)]
    cluster.no_coordinator = error
    assert cluster.run("a1", "b1") == ["unavailable"] * 2
    assert (cluster.ran, cluster.asked) == ([], {"lost": 1})


def test_of_requests_about_any_merchant_only_those_are_refused_that_read_from_a_lost_node(cluster: Cluster) -> None:
    cluster.lost = {"b"}

    def serve_but(transaction: Transaction, requests: Sequence[Wanted]) -> list[int]:
        if any(one.number in (3, 4) for one in requests):
            raise DatabaseUnavailable(is_of_one_node=True)
        return cluster.serve(transaction, requests)

    assert cluster.run(*[None] * 7, action=serve_but) == [0, 1, 2, ONE_NODE, ONE_NODE, 5, 6]


def test_actions_of_one_node_are_told_apart_before_their_requests_are(cluster: Cluster) -> None:
    cluster.lost = {"b"}

    def fail(_transaction: Transaction, _requests: Sequence[Wanted]) -> list[int]:
        raise DatabaseUnavailable(is_of_one_node=True)

    jobs = [
        Job(number, (cluster.serve, fail, cluster.serve_others)[number % 3], Wanted("a1", number), time.monotonic())
        for number in range(6)
    ]
    assert cluster.run_jobs(jobs) == [0, ONE_NODE, 2, 3, ONE_NODE, 5]
    assert {tuple(one) for one in cluster.ran[-2:]} == {(0, 3), (2, 5)}


def test_a_group_whose_time_is_over_is_split_no_further(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPLIT_SECONDS_MAX", -1.0)
    cluster.lost, cluster.known = {"b"}, set()
    assert cluster.run("b1", "b2", "a1") == [ONE_NODE, ONE_NODE, 2]
    assert sorted(cluster.ran[-2:]) == [[0, 1], [2]]


def test_a_group_is_split_no_further_where_the_whole_database_is_gone(cluster: Cluster) -> None:
    cluster.lost = {"b"}
    cluster.run("b1")
    cluster.ran.clear()
    cluster.failing = [DatabaseUnavailable()]
    assert cluster.run("a1", "a2", "c1") == ["unavailable", "unavailable", 2]
    assert cluster.ran == [[2]]


def test_a_lost_node_that_has_returned_is_served_again(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.lost = {"b"}
    assert cluster.run("a1", "b1") == [0, ONE_NODE]
    cluster.lost = set()
    cluster.runner._nodes._check_at = 0.0  # noqa: SLF001 - as if half a second had passed
    monkeypatch.setattr("paidonce.database.citus.lost_nodes.CHECK_WAIT_SECONDS", 60.0)
    assert cluster.run("a1", "b1") == [0, 1]


def test_an_error_of_ours_is_no_defect_and_is_not_logged_as_one(
    cluster: Cluster, logged: list[MutableMapping[str, Any]]
) -> None:
    error = PaidonceError("refused")

    def refuse(_transaction: Transaction, _requests: Sequence[Wanted]) -> list[int]:
        raise error

    assert cluster.run("a1", action=refuse) == [error]
    assert logged == []
