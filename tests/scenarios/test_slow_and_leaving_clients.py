"""Clients that do not read their responses, or disconnect early, take only a limited share from others."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Final

import httpx
import pytest
from click.testing import CliRunner

from paidonce.cli import main
from tests.support.raw_http import RawHttpConnection
from tests.support.service_process import ServiceProcess, wait_until

CLIENTS: Final = 40
LARGE: Final = {f"name {number}": "é" * 500 for number in range(50)}  # About 50 kB a checkout.


class Merchant:
    """A merchant with an API key, on a separate service."""

    def __init__(self, service: ServiceProcess, name: str, sockets: ExitStack) -> None:
        self.service = service
        self.sockets = sockets
        self.headers = {"Authorization": f"Bearer {self.make_key(name)}"}

    def make_key(self, name: str) -> str:
        environment = {"DATABASE_URL": self.service.database_url}
        commands = [("merchants", "create", name), ("keys", "create", name)]
        done = [CliRunner().invoke(main, arguments, env=environment) for arguments in commands]
        assert [one.exit_code for one in done] == [0, 0]
        return done[1].stdout.strip()

    def ask(self, path: str, **headers: str) -> RawHttpConnection:
        """Ask on a connection of its own, and read nothing."""
        wire = RawHttpConnection(self.service.url)
        self.sockets.enter_context(wire.socket)
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lines = "".join(f"{name}: {value}\r\n" for name, value in (self.headers | headers).items())
        wire.send(f"GET {path} HTTP/1.1\r\nHost: here\r\n{lines}\r\n".encode())
        return wire

    def create(self, key: str, **fields: object) -> str:
        body = {"amount": 1000, "currency": "USD", "idempotencyKey": key, **fields}
        content = json.dumps(body, ensure_ascii=False).encode()
        headers = self.headers | {"Content-Type": "application/json"}
        answer = httpx.post(f"{self.service.url}/checkouts", content=content, headers=headers)
        assert answer.status_code == 201, answer.text
        checkout_id: str = answer.json()["id"]
        return checkout_id


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    """Close the sockets of a test."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def serve(start: Callable[..., ServiceProcess], sqlite_url: str) -> Callable[..., ServiceProcess]:
    def serve(**settings: str) -> ServiceProcess:
        service = start("dev", DATABASE_URL=sqlite_url, PAIDONCE_AUTH="keys", **settings)
        return service.wait_until_ready()

    return serve


def status_of(wire: RawHttpConnection) -> int:
    with closing(wire.socket):
        return int(wire.socket.recv(12)[9:])


def resident_megabytes(service: ServiceProcess) -> float:
    with open(f"/proc/{service.process.pid}/status") as status:  # noqa: PTH123 - no file of ours
        lines = dict(line.split(":", 1) for line in status)
    return int(lines["VmRSS"].split()[0]) / 1024


def test_clients_that_read_nothing_of_large_lists_are_refused_before_they_fill_the_memory(
    serve: Callable[..., ServiceProcess], sockets: ExitStack
) -> None:
    service = serve(PAIDONCE_UNSENT_MEGABYTES="64")
    ada, bob = Merchant(service, "ada", sockets), Merchant(service, "bob", sockets)
    for number in range(100):
        ada.create(f"key {number}", metadata=LARGE)
    before = resident_megabytes(service)
    asked = [ada.ask("/checkouts?limit=100") for _ in range(CLIENTS)]
    statuses = [wire.socket.recv(12)[9:] for wire in asked]
    assert statuses.count(b"429") == CLIENTS - statuses.count(b"200") > CLIENTS / 2
    assert status_of(bob.ask("/checkouts?limit=100")) == 200
    # All of them are 200 MB, and more while they are made.
    assert resident_megabytes(service) - before < 150
    for wire in asked:
        wire.socket.close()
    wait_until(lambda: status_of(ada.ask("/checkouts?limit=100")) == 200)


def preference(wire: RawHttpConnection) -> str:
    with closing(wire.socket):
        return wire.answer().headers.get("preference-applied", "")


def test_a_client_that_leaves_while_it_waits_or_follows_makes_room_for_another(
    serve: Callable[..., ServiceProcess], sockets: ExitStack
) -> None:
    service = serve(
        PAIDONCE_SIMULATOR_LATENCY_MS="600000",
        PAIDONCE_PROVIDER_TIMEOUT_SECONDS="500",
        PAIDONCE_LEASE_SECONDS="600",
        PAIDONCE_SHUTDOWN_SECONDS="0",
        PAIDONCE_WAITS_PER_KEY="1",
        PAIDONCE_STREAMS_PER_KEY="1",
    )
    ada = Merchant(service, "ada", sockets)
    path = f"/checkouts/{ada.create('key')}"
    paid = httpx.post(f"{service.url}{path}/pay", headers=ada.headers)
    assert paid.status_code == 202
    waits = ada.ask(path, Prefer="wait=30")
    follows = ada.ask("/events/stream")
    assert follows.socket.recv(12)[9:] == b"200"
    # One more is answered at once: a stream is refused, and a wait is not waited for.
    wait_until(lambda: preference(ada.ask(path, Prefer="wait=1")) == "")
    assert status_of(ada.ask("/events/stream")) == 429
    waits.socket.close()
    follows.socket.close()
    wait_until(lambda: preference(ada.ask(path, Prefer="wait=1")) == "wait=1", seconds=20)
    wait_until(lambda: status_of(ada.ask("/events/stream")) == 200)
