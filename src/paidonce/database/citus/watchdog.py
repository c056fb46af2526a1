"""A watchdog that ends the wait for a silent node of a distributed database (Citus).

A node that has accepted a statement and never answers keeps the coordinator waiting for as long as its operating system
keeps the connection: a time limit of the statement does not help, because the coordinator cancels it by calling that
node and waiting for its answer. So when a transaction takes long, this process asks whether every node accepts
connections. Where one does not, it closes its own connection to the coordinator, and the transaction fails as after
any loss of a connection (docs/decisions/0062).
"""

import os
import socket
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from threading import Event, Lock, Thread
from typing import Any, Final, NamedTuple

import structlog

log = structlog.get_logger()

SUSPICIOUS_SECONDS: Final = 1.0  # No transaction takes as long, unless it waits for a lock or for the machine.
INTERVAL_SECONDS: Final = 0.5
CLOSE_SECONDS_MAX: Final = 10.0

FindSilentNodes = Callable[[], Collection[str]]
"""Tries to connect to every node; returns the names of those that do not accept a connection."""


class _Open(NamedTuple):
    began: float
    connection: Any


class Watchdog:
    """Watches open transactions in a thread of its own, from the first one on. ``monotonic`` returns seconds."""

    def __init__(self, find_silent_nodes: FindSilentNodes, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._find_silent_nodes = find_silent_nodes
        self._monotonic = monotonic
        self._numbers = count()
        self._open: dict[int, _Open] = {}
        self._lock = Lock()
        self._closed = Event()
        self._thread: Thread | None = None

    @contextmanager
    def watching(self, connection: Any) -> Iterator[None]:  # noqa: ANN401 - the driver's connection
        """Watch a transaction on a connection of the driver during the block."""
        number = next(self._numbers)
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._watch, name="watchdog", daemon=True)
                self._thread.start()
            self._open[number] = _Open(self._monotonic(), connection)
        try:
            yield
        finally:
            with self._lock:  # Whoever closes the connection next does so after this.
                del self._open[number]

    def close(self) -> None:
        """End the thread, and wait for its end: until the nodes have been asked, at the worst."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS_MAX)

    def _watch(self) -> None:
        while not self._closed.wait(INTERVAL_SECONDS):
            self.check()

    def check(self) -> None:
        """Ask for silent nodes where a transaction is suspicious, and close the connections that wait for them."""
        suspicious = self._suspicious()
        if not suspicious:
            return
        try:
            silent = self._find_silent_nodes()
        except Exception as error:  # noqa: BLE001 - the coordinator does not respond either: its connections fail on their own
            log.warning("nodes_not_asked", error=str(error))
            return
        if silent:
            broken = sum(self._break(number) for number in suspicious)
            log.error("nodes_silent", nodes=sorted(silent), transactions=broken)

    def _suspicious(self) -> list[int]:
        began_before = self._monotonic() - SUSPICIOUS_SECONDS
        with self._lock:
            return [number for number, one in self._open.items() if one.began < began_before]

    def _break(self, number: int) -> bool:
        """Shut the connection of a transaction down, unless it has ended meanwhile; its thread reads the end."""
        with self._lock, suppress(Exception):  # The connection may be closed already.
            with socket.socket(fileno=os.dup(self._open[number].connection.fileno())) as shared:
                shared.shutdown(socket.SHUT_RDWR)
            return True
        return False
