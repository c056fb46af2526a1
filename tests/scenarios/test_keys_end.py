"""What is open or waits under a key ends with it: streams and waiting calls, whoever ends the key and however."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from paidonce.cli import main
from tests.support.databases import fresh_database
from tests.support.service_process import ServiceProcess, processes, wait_until

LIMIT_SECONDS = 120.0  # For a slow machine; without an end of its own a stream is open for 15 minutes.


@dataclass
class Office:
    """An operator, beside a service with keys: by command, or over HTTP."""

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


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def office(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"file:{folder}/paidonce.db"
        else:
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres_server_url")))
        stack.enter_context(pytest.MonkeyPatch.context()).chdir(folder)
        service = stack.enter_context(processes(folder))("dev", DATABASE_URL=url, **SLOW).wait_until_ready()
        office = Office(service, url)
        office.operate("merchants", "create", "m123")
        office.admin = office.operate("keys", "create", "--admin")
        yield office


def read_to_the_end(lines: Iterator[str]) -> bool:
    """Read a stream to its end; raises where it is cut off instead."""
    for _ in lines:
        pass
    return True


@contextmanager
def streaming(office: Office, secret: str) -> Iterator["Future[bool]"]:
    """Follow events under a key; the future is done when the stream has ended."""
    with (
        office.client(secret) as http,
        http.stream("GET", "/events/stream") as answer,
        ThreadPoolExecutor(1) as reading,
    ):
        assert answer.status_code == 200
        lines = answer.iter_lines()
        assert next(lines).startswith("retry: ")
        yield reading.submit(read_to_the_end, lines)


def revoke(office: Office, key_id: str) -> None:
    office.post(f"/keys/{key_id}/revoke")


def revoke_by_command(office: Office, key_id: str) -> None:
    office.operate("keys", "revoke", key_id)


def rotate_out(office: Office, key_id: str) -> None:
    office.post(f"/keys/{key_id}/rotate", {"overlapSeconds": 0})


def let_expire(office: Office, key_id: str) -> None:
    office.operate("keys", "rotate", key_id, "--overlap-seconds", "1")


@pytest.mark.parametrize("end", [revoke, revoke_by_command, rotate_out, let_expire])
def test_a_stream_ends_with_its_key(office: Office, end: Callable[[Office, str], None]) -> None:
    key_id, secret = office.new_key()
    other_id, other = office.new_key()
    with streaming(office, other) as going_on:
        with streaming(office, secret) as ended:
            end(office, key_id)
            assert ended.result(LIMIT_SECONDS), "it ended in order"
            with office.client(secret) as http:
                assert http.get("/events/stream").status_code == 401
        assert not going_on.done()
        revoke(office, other_id)


@pytest.mark.parametrize("end", [revoke, revoke_by_command])
def test_a_client_that_waits_for_a_payment_is_refused_when_its_key_ends(
    office: Office, end: Callable[[Office, str], None]
) -> None:
    key_id, secret = office.new_key()
    with office.client(secret) as http, ThreadPoolExecutor(1) as waiting:
        body = {"amount": 1000, "currency": "USD", "idempotencyKey": f"slow {key_id}"}
        path = f"/checkouts/{http.post('/checkouts', json=body).json()['id']}"
        slow = {"paymentMethod": "tok_delay_600000"}
        pay = waiting.submit(http.post, f"{path}/pay", json=slow, headers={"Prefer": "wait=30"})
        with office.client(office.admin) as operator:
            wait_until(lambda: operator.get(path).json()["status"] == "PROCESSING")
            end(office, key_id)
            refused = pay.result(LIMIT_SECONDS)
            assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
            assert operator.get(path).json()["status"] == "PROCESSING"


@pytest.mark.parametrize("office", ["postgresql"], indirect=True)
def test_a_stream_ends_when_its_key_is_revoked_through_another_server(
    start: Callable[..., ServiceProcess], office: Office
) -> None:
    other = start("serve", "--no-worker", DATABASE_URL=office.database_url, **SLOW).wait_until_ready()
    key_id, secret = office.new_key()
    with streaming(office, secret) as ended:
        revoke(Office(other, office.database_url, office.admin), key_id)
        assert ended.result(LIMIT_SECONDS)
