"""Streams and waiting calls end with their API key, however it ends."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from paidonce.cli import main
from tests.support.service_process import ServiceProcess, processes, wait_until

LIMIT_SECONDS = 120.0  # For a slow machine; without an end of its own a stream is open for 15 minutes.


@dataclass
class OperatorClient:
    """An operator of a service with authentication, who uses commands or HTTP."""

    service: ServiceProcess
    database_url: str
    admin: str = ""

    def operate(self, *arguments: str) -> str:
        """Run a command, in another process's place."""
        done = CliRunner().invoke(main, arguments, env={"DATABASE_URL": self.database_url})
        assert done.exit_code == 0, done.output
        return done.stdout.strip()

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = httpx.post(
            f"{self.service.url}{path}", json=body or {}, headers={"Authorization": f"Bearer {self.admin}"}
        )
        assert answer.is_success, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def new_key(self) -> tuple[str, str]:
        """Make a key; returns its id and its secret."""
        made = self.post("/keys", {"merchantId": "m123"})
        return made["id"], made["secret"]

    def client(self, secret: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {secret}"}
        return httpx.Client(base_url=self.service.url, headers=headers, timeout=LIMIT_SECONDS)


# A payment that takes ten minutes is under way for as long as any of these tests.
SLOW = {"PAIDONCE_AUTH": "keys", "PAIDONCE_PROVIDER_TIMEOUT_SECONDS": "600", "PAIDONCE_LEASE_SECONDS": "900"}


@pytest.fixture(scope="module")
def operator_client(shared_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorClient]:
    folder = tmp_path_factory.mktemp("operator_client")
    with pytest.MonkeyPatch.context() as patch, processes(folder) as start:
        patch.chdir(folder)
        service = start("dev", DATABASE_URL=shared_database_url, **SLOW).wait_until_ready()
        operator_client = OperatorClient(service, shared_database_url)
        operator_client.operate("merchants", "create", "m123")
        operator_client.admin = operator_client.operate("keys", "create", "--admin")
        yield operator_client


def read_to_the_end(lines: Iterator[str]) -> bool:
    """Read a stream to its end; raises where it is cut off."""
    for _ in lines:
        pass
    return True


@contextmanager
def streaming(operator_client: OperatorClient, secret: str) -> Iterator["Future[bool]"]:
    """Follow events with an API key; the future is done when the stream has ended."""
    with (
        operator_client.client(secret) as http,
        http.stream("GET", "/events/stream") as answer,
        ThreadPoolExecutor(1) as reading,
    ):
        assert answer.status_code == 200
        lines = answer.iter_lines()
        assert next(lines).startswith("retry: ")
        yield reading.submit(read_to_the_end, lines)


def revoke(operator_client: OperatorClient, key_id: str) -> None:
    operator_client.post(f"/keys/{key_id}/revoke")


def revoke_by_command(operator_client: OperatorClient, key_id: str) -> None:
    operator_client.operate("keys", "revoke", key_id)


def rotate_out(operator_client: OperatorClient, key_id: str) -> None:
    operator_client.post(f"/keys/{key_id}/rotate", {"overlapSeconds": 0})


def let_expire(operator_client: OperatorClient, key_id: str) -> None:
    operator_client.operate("keys", "rotate", key_id, "--overlap-seconds", "1")


@pytest.mark.parametrize("end", [revoke, revoke_by_command, rotate_out, let_expire])
def test_a_stream_ends_with_its_key(
    operator_client: OperatorClient, end: Callable[[OperatorClient, str], None]
) -> None:
    key_id, secret = operator_client.new_key()
    other_id, other = operator_client.new_key()
    with streaming(operator_client, other) as going_on:
        with streaming(operator_client, secret) as ended:
            end(operator_client, key_id)
            assert ended.result(LIMIT_SECONDS), "it ended in order"
            with operator_client.client(secret) as http:
                assert http.get("/events/stream").status_code == 401
        assert not going_on.done()
        revoke(operator_client, other_id)


@pytest.mark.parametrize("end", [revoke, revoke_by_command])
def test_a_client_that_waits_for_a_payment_is_refused_when_its_key_ends(
    operator_client: OperatorClient, end: Callable[[OperatorClient, str], None]
) -> None:
    key_id, secret = operator_client.new_key()
    with operator_client.client(secret) as http, ThreadPoolExecutor(1) as waiting:
        body = {"amount": 1000, "currency": "USD", "idempotencyKey": f"slow {key_id}"}
        path = f"/checkouts/{http.post('/checkouts', json=body).json()['id']}"
        slow = {"paymentMethod": "tok_delay_600000"}
        pay = waiting.submit(http.post, f"{path}/pay", json=slow, headers={"Prefer": "wait=30"})
        with operator_client.client(operator_client.admin) as operator:
            wait_until(lambda: operator.get(path).json()["status"] == "PROCESSING")
            end(operator_client, key_id)
            refused = pay.result(LIMIT_SECONDS)
            assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
            assert operator.get(path).json()["status"] == "PROCESSING"


@pytest.mark.parametrize("shared_database_url", ["postgresql"], indirect=True)
def test_a_stream_ends_when_its_key_is_revoked_through_another_server(
    start: Callable[..., ServiceProcess], operator_client: OperatorClient
) -> None:
    other = start("serve", "--no-worker", DATABASE_URL=operator_client.database_url, **SLOW).wait_until_ready()
    key_id, secret = operator_client.new_key()
    with streaming(operator_client, secret) as ended:
        revoke(OperatorClient(other, operator_client.database_url, operator_client.admin), key_id)
        assert ended.result(LIMIT_SECONDS)
