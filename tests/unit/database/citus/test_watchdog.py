"""A transaction that waits for a silent node ends, because its connection to the coordinator is closed."""

import socket
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing
from threading import Event, Thread

import psycopg
import pytest

from paidonce.database.citus.watchdog import SUSPICIOUS_SECONDS, Watchdog
from tests.support.service_process import wait_until

SILENT = frozenset({"worker-2:5432"})


class Cluster:
    """Nodes some of which are silent, and a clock. ``asked`` counts how often the nodes were asked."""

    def __init__(self) -> None:
        self.silent: Collection[str] = ()
        self.asked = 0
        self.now = 0.0

    def find_silent_nodes(self) -> Collection[str]:
        self.asked += 1
        return self.silent


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def watchdog(cluster: Cluster) -> Iterator[Watchdog]:
    """Watch with a clock that stands still until it is moved: the watchdog's own thread finds nothing."""
    one = Watchdog(cluster.find_silent_nodes, monotonic=lambda: cluster.now)
    yield one
    one.close()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Provide both ends of a connection."""
    one, other = socket.socketpair()
    with one, other:
        other.settimeout(0)
        yield one, other


def is_open(ends: tuple[socket.socket, socket.socket]) -> bool:
    try:
        return ends[1].recv(1) != b""
    except BlockingIOError:
        return True


def test_a_transaction_that_takes_long_while_a_node_is_silent_loses_its_connection(
    watchdog: Watchdog, cluster: Cluster, ends: tuple[socket.socket, socket.socket]
) -> None:
    cluster.silent = SILENT
    with watchdog.watching(ends[0]):
        cluster.now = 2 * SUSPICIOUS_SECONDS
        watchdog.check()
        assert not is_open(ends)


def test_a_transaction_that_takes_long_keeps_its_connection_while_all_nodes_respond(
    watchdog: Watchdog, cluster: Cluster, ends: tuple[socket.socket, socket.socket]
) -> None:
    with watchdog.watching(ends[0]):
        cluster.now = 2 * SUSPICIOUS_SECONDS
        watchdog.check()
        assert cluster.asked > 0
        assert is_open(ends)


def test_nodes_are_not_asked_while_no_transaction_takes_long(
    watchdog: Watchdog, cluster: Cluster, ends: tuple[socket.socket, socket.socket]
) -> None:
    cluster.silent = SILENT
    with watchdog.watching(ends[0]):
        cluster.now = SUSPICIOUS_SECONDS / 2
        watchdog.check()
    cluster.now = 10 * SUSPICIOUS_SECONDS
    watchdog.check()
    assert cluster.asked == 0
    assert is_open(ends)


def test_a_transaction_that_ends_while_the_nodes_are_asked_keeps_its_connection(
    cluster: Cluster, ends: tuple[socket.socket, socket.socket]
) -> None:
    watched = ExitStack()

    def find_silent_nodes() -> Collection[str]:
        watched.close()
        return SILENT

    watchdog = Watchdog(find_silent_nodes, monotonic=lambda: cluster.now)
    watched.enter_context(watchdog.watching(ends[0]))
    cluster.now = 2 * SUSPICIOUS_SECONDS
    watchdog.check()
    watchdog.close()
    assert is_open(ends)


def test_a_coordinator_that_cannot_be_asked_ends_no_transaction(
    cluster: Cluster, ends: tuple[socket.socket, socket.socket]
) -> None:
    def find_silent_nodes() -> Collection[str]:
        raise ConnectionError

    watchdog = Watchdog(find_silent_nodes, monotonic=lambda: cluster.now)
    with watchdog.watching(ends[0]):
        cluster.now = 2 * SUSPICIOUS_SECONDS
        watchdog.check()
        assert is_open(ends)
    watchdog.close()


def test_a_statement_on_postgresql_fails_at_once_when_its_connection_is_closed_by_the_watchdog(
    migrated_postgres_url: str,
) -> None:
    failed = Event()
    watchdog = Watchdog(lambda: SILENT)  # Its own thread, and the real clock.

    def wait_for_an_answer() -> None:
        with closing(psycopg.connect(migrated_postgres_url)) as connection, watchdog.watching(connection):
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT pg_sleep(600)")
            failed.set()

    waiting = Thread(target=wait_for_an_answer, daemon=True)
    waiting.start()
    wait_until(failed.is_set)
    watchdog.close()
