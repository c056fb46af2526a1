"""Lanes: the requests for the merchants of each node run in batches of their own, several batches at a time."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from threading import Event, Lock
from typing import Any, Final, NamedTuple, cast

import pytest
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from structlog.testing import capture_logs

from paidonce.clock import system_clock
from paidonce.database.batch import BatchResult, BatchRunner, Job
from paidonce.database.citus import lanes as module
from paidonce.database.citus.lanes import OTHER, NodeLanes, is_distributed, locate_merchants
from paidonce.database.citus.shard_keys import Location
from paidonce.database.citus.shards import ShardOf
from paidonce.database.engine import open_database
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url
from tests.support.citus import SHARDS, cluster_urls, require_cluster
from tests.support.databases import fresh_database, make_schema

SECONDS_MAX: Final = 90.0
SHARD_OF: Final = {"a1": 1, "a2": 2, "b1": 3, "b2": 4}
NODE_OF: Final = {"a1": "node a", "a2": "node a", "b1": "node b", "b2": "node b"}


class Payment(NamedTuple):
    """A request of a merchant."""

    merchant_id: str
    number: int = 0


class Transfer(NamedTuple):
    """A request of two merchants."""

    source: Payment
    target: Payment


class Look(NamedTuple):
    """A request about something that may be any merchant's."""

    merchant_id: str | None
    by: Payment


class Claim(NamedTuple):
    """A request of no merchant."""


class Nodes:
    """Nodes whose batches the test can hold up, what was run together, and how often merchants were located."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.located: list[set[str]] = []
        self.made: list[str] = []
        self.shard_of: ShardOf = lambda _merchant: None
        self.held: dict[str, Event] = {}
        self.is_lost = False
        self.now = 0.0
        self.results: dict[int, object] = {}
        self._has_result = Event()
        self._changing = Lock()
        self._number = 0
        self.lanes = NodeLanes(self._make_runner, self._locate, monotonic=lambda: self.now)
        self.lanes.start(self._on_result)

    def dispatch(self, *requests: object) -> list[int]:
        """Hand over requests that arrive together; returns the numbers of their jobs."""
        first, self._number = self._number, self._number + len(requests)
        numbers = list(range(first, self._number))
        pairs = zip(numbers, requests, strict=True)
        self.lanes.dispatch([Job(number, self._run, request, time.monotonic()) for number, request in pairs])
        return numbers

    def wait_for(self, numbers: Collection[int]) -> list[object]:
        """Wait for the outcomes of jobs."""
        deadline = time.monotonic() + SECONDS_MAX
        while not self.results.keys() >= set(numbers):
            assert self._has_result.wait(deadline - time.monotonic())
            self._has_result.clear()
        return [self.results[number] for number in numbers]

    def close(self) -> None:
        for event in self.held.values():
            event.set()
        self.lanes.stop()

    def _make_runner(self, node: str, shard_of: ShardOf) -> BatchRunner:
        self.made.append(node)
        self.shard_of = shard_of
        return BatchRunner(self._begin, limit=16, chance=lambda: 0.5)

    @contextmanager
    def _begin(self) -> Iterator[Transaction]:
        yield Transaction(cast("Connection", None), 0)

    def _locate(self, merchants: Collection[str]) -> Mapping[str, Location]:
        self.located.append(set(merchants))
        if self.is_lost:
            raise ConnectionError
        return {one: Location(NODE_OF[one], SHARD_OF[one]) for one in merchants}

    def _run(self, _transaction: Transaction, requests: Sequence[Any]) -> list[Any]:
        with self._changing:
            self.batches.append(list(requests))
        for request in requests:
            if isinstance(request, Payment) and request.merchant_id in self.held:
                assert self.held[request.merchant_id].wait(SECONDS_MAX)
        return list(requests)

    def _on_result(self, result: BatchResult) -> None:
        with self._changing:
            self.results |= dict(result.results)
        self._has_result.set()


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with closing(Nodes()) as one:
        yield one


def test_a_batch_has_the_requests_for_the_merchants_of_one_node(nodes: Nodes) -> None:
    requests = [Payment(merchant, number) for number in range(20) for merchant in NODE_OF]
    assert nodes.wait_for(nodes.dispatch(*requests)) == requests
    assert [len({NODE_OF[one.merchant_id] for one in batch}) for batch in nodes.batches] == [1] * len(nodes.batches)


def test_requests_of_a_merchant_run_in_their_order(nodes: Nodes) -> None:
    nodes.wait_for([number for of in range(50) for number in nodes.dispatch(Payment("a1", of), Payment("b1", of))])
    ran = [one.number for batch in nodes.batches for one in batch if one.merchant_id == "a1"]
    assert ran == list(range(50))


def test_a_node_that_holds_up_its_batch_delays_no_requests_for_another(nodes: Nodes) -> None:
    nodes.held["a1"] = Event()
    [first] = nodes.dispatch(Payment("a1"))
    others = nodes.dispatch(Payment("b1"), Payment("b2"), Claim())
    nodes.wait_for(others)
    assert first not in nodes.results
    nodes.held["a1"].set()
    nodes.wait_for([first])


def test_requests_of_no_merchant_and_of_two_nodes_share_a_lane_of_their_own(nodes: Nodes) -> None:
    nodes.held["a1"] = nodes.held["b1"] = Event()
    nodes.dispatch(Payment("a1"), Payment("b1"))  # The lanes of both nodes are busy.
    far = Transfer(Payment("a2"), Payment("b2"))
    assert nodes.wait_for(nodes.dispatch(Claim(), far)) == [Claim(), far]


def test_what_is_named_without_its_merchant_has_a_lane_for_each_node_without_the_nodes_own_connection(
    nodes: Nodes,
) -> None:
    nodes.held["a1"] = nodes.held["b1"] = Event()
    nodes.dispatch(Payment("a1"), Payment("b1"))
    requests = [Look(None, by=Payment("a2")), Look(None, by=Payment("b2"))]
    assert nodes.wait_for(nodes.dispatch(*requests)) == requests
    assert nodes.made == ["node a", "node b", OTHER, OTHER]
    assert [len(batch) for batch in nodes.batches[-2:]] == [1, 1]


def test_a_merchant_is_located_once_a_minute(nodes: Nodes) -> None:
    for nodes.now in (0.0, 30.0, 60.0, 100.0):
        nodes.wait_for(nodes.dispatch(Payment("a1"), Payment("a1", 2)))
    nodes.wait_for(nodes.dispatch(Payment("a1"), Payment("b1")))
    assert nodes.located == [{"a1"}, {"a1"}, {"b1"}]


def test_only_so_many_merchants_are_remembered(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCATED_MAX", 1)
    for merchant in ("a1", "a2", "a2"):
        nodes.wait_for(nodes.dispatch(Payment(merchant)))
    assert nodes.located == [{"a1"}, {"a2"}, {"a2"}]


def test_requests_run_although_their_node_is_not_known(nodes: Nodes) -> None:
    nodes.is_lost = True
    with capture_logs() as logged:
        numbers = nodes.dispatch(Payment("a1"), Payment("b1"))
        assert nodes.wait_for(numbers) == [Payment("a1"), Payment("b1")]
    assert [one["event"] for one in logged] == ["merchants_not_located"]
    nodes.is_lost = False
    nodes.wait_for(nodes.dispatch(Payment("a1")))
    assert nodes.located[-1] == {"a1"}  # It was not taken for the answer.


def test_each_node_has_a_lane_and_requests_of_no_node_have_one(nodes: Nodes) -> None:
    nodes.wait_for(nodes.dispatch(Payment("a1"), Payment("b1"), Payment("a2"), Claim()))
    assert nodes.made == ["node a", "node b", OTHER]


def test_a_lane_knows_the_shards_of_the_merchants_that_were_located(nodes: Nodes) -> None:
    nodes.wait_for(nodes.dispatch(Payment("a1"), Payment("a2")))
    assert [nodes.shard_of(one) for one in ("a1", "a2", "b1")] == [1, 2, None]
    nodes.now = 60.0
    nodes.wait_for(nodes.dispatch(Payment("a2")))
    assert nodes.shard_of("a1") == 1  # A batch that was dispatched before may still run.


def test_what_is_queued_is_run_before_it_stops(nodes: Nodes) -> None:
    numbers = nodes.dispatch(*(Payment(merchant, number) for number in range(40) for merchant in NODE_OF))
    nodes.lanes.stop()
    assert nodes.results.keys() == set(numbers)


def test_a_database_that_is_not_distributed_has_no_lanes(database_url: str) -> None:
    with closing(open_database(parse_database_url(database_url), clock=system_clock)) as database:
        make_schema(database)
        assert is_distributed(database) is bool(cluster_urls() and database.url.dialect == "postgresql")


def test_a_distributed_database_tells_the_node_of_each_merchant() -> None:
    nodes = require_cluster()
    with (
        fresh_database(nodes[0]) as url,
        closing(open_database(parse_database_url(url), clock=system_clock)) as database,
    ):
        found = locate_merchants(database, [f"m{number}" for number in range(50)])
    ports = {str(make_url(node).port) for node in nodes[1:]}
    assert len(found) == 50
    assert {place.node.rpartition(":")[2] for place in found.values()} == ports
    assert len({place.shard for place in found.values()}) == SHARDS
