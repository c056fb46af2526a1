"""When a node itself is used for transactions, and when the coordinator is."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast
from unittest.mock import patch

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from paidonce.clock import system_clock
from paidonce.database.batch import BatchRunner, Job
from paidonce.database.citus.node_database import open_node
from paidonce.database.citus.node_writer import TRY_AGAIN_SECONDS, NodeWriter
from paidonce.database.citus.shards import NeedsCoordinator
from paidonce.database.citus.watchdog import Watchdog
from paidonce.database.engine import Database, open_database
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url


class Node:
    """A node that can be reached or not, in place of its database."""

    def __init__(self) -> None:
        self.is_reachable = False
        self.tried = 0
        self.write_connections = self

    @contextmanager
    def connection(self) -> Iterator[None]:
        self.tried += 1
        if not self.is_reachable:
            raise ConnectionRefusedError
        yield

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        yield Transaction(cast("Connection", None), 0)

    def close(self) -> None:
        pass


class Clocked:
    """A writer whose clock the test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.node = Node()
        self.writer = NodeWriter(cast("Database", self.node), "node:1", monotonic=lambda: self.now)

    def is_usable(self) -> bool:
        """Wait for the end of a try, if one has begun."""
        self.writer.is_usable()
        self.writer.wait_for_try()
        return self.writer.is_usable()


def test_a_node_that_is_not_reached_is_not_used_and_tried_again_after_some_seconds() -> None:
    one = Clocked()
    with capture_logs() as logged:
        for one.now in (0.0, TRY_AGAIN_SECONDS - 1, TRY_AGAIN_SECONDS):
            assert not one.is_usable()
        assert one.node.tried == 2
        one.node.is_reachable = True
        one.now = 2 * TRY_AGAIN_SECONDS
        assert one.is_usable()
    assert [entry["event"] for entry in logged] == ["node_not_connected", "node_connected"]


def test_a_node_whose_connection_is_lost_is_not_used_for_some_seconds() -> None:
    one = Clocked()
    one.node.is_reachable = True
    assert one.is_usable()
    with pytest.raises(OperationalError), one.writer.write():
        raise OperationalError(None, None, ConnectionResetError(), connection_invalidated=True)
    assert not one.writer.is_usable()
    one.now = TRY_AGAIN_SECONDS
    assert one.is_usable()


def test_a_node_that_is_closed_leaves_the_watchdog_to_the_database_that_owns_it() -> None:
    with patch.object(Watchdog, "close", autospec=True) as closed:
        database = open_database(parse_database_url("postgresql://127.0.0.1:1/none"), clock=system_clock)
        node = open_node(database, "127.0.0.1:2", lambda _: None)
        node.close()
        assert closed.call_count == 0
        database.close()
        assert closed.call_count == 1


def test_a_batch_that_the_node_does_not_suffice_for_is_run_again_through_the_coordinator() -> None:
    one = Clocked()
    one.node.is_reachable = True
    assert one.is_usable()
    transactions: list[Any] = []

    @contextmanager
    def begin() -> Iterator[Transaction]:
        yield Transaction(cast("Connection", "coordinator"), 0)

    def run(transaction: Transaction, requests: Sequence[str]) -> list[str]:
        transactions.append(transaction.connection)
        if "any" in requests and transaction.connection is None:
            raise NeedsCoordinator
        return list(requests)

    runner = BatchRunner(begin, limit=16, chance=lambda: 0.5, run_work=one.writer.run)
    for request in ("mine", "any"):
        result = runner.run([Job(1, run, request, time.monotonic())])
        assert result.results == [(1, request)]
    assert transactions == [None, None, "coordinator"]
