"""Requests that no document invites, as scanners and broken clients send them: a clear answer, and never a 500."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from tests.databases import fresh_database
from tests.service import processes

STRANGE_IDS = ["%00", "chk_%00", "%ff", "a%5Cu0000", "%F0%9F%98%80", "..", "%2e%2e", "null", "chk_" + "x" * 5000, "%20"]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("strange")
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"file:{folder}/paidonce.db"
        else:
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres_server_url")))
        service = stack.enter_context(processes(folder))("dev", DATABASE_URL=url)
        yield stack.enter_context(httpx.Client(base_url=service.url))
        assert [line for line in service.lines if '"level": "error"' in line] == []


@pytest.mark.parametrize("strange", STRANGE_IDS)
@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/timeline"), ("POST", "/pay"), ("POST", "/cancel")])
def test_what_cannot_be_an_id_is_not_found(client: httpx.Client, method: str, path: str, strange: str) -> None:
    answer = client.request(method, f"/checkouts/{strange}{path}")
    assert answer.status_code in (404, 405)  # ".." leads elsewhere, where another method may be.
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] in ("checkout_not_found", "route_not_found", "method_not_allowed")


def test_a_strange_id_spoils_no_other_request_of_its_batch(client: httpx.Client) -> None:
    body = {"merchantId": "m123", "amount": 1000, "currency": "USD", "idempotencyKey": "beside"}
    checkout_id = client.post("/checkouts", json=body).json()["id"]
    paths = [f"/checkouts/{checkout_id}/timeline", "/checkouts/%00/timeline"] * 10
    with ThreadPoolExecutor(len(paths)) as at_once:
        answers = list(at_once.map(client.get, paths))
    assert [answer.status_code for answer in answers] == [200, 404] * 10


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "HEAD"])
def test_a_wrong_method_is_told_the_right_ones(client: httpx.Client, method: str) -> None:
    answer = client.request(method, "/checkouts")
    assert answer.status_code == 405
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


def test_options_names_every_method_of_the_path(client: httpx.Client) -> None:
    assert {"GET", "POST"} <= set(client.options("/checkouts").headers["allow"].split(", "))


@pytest.mark.parametrize("name", ["X-Request-Id", "Idempotency-Key", "Prefer", "Content-Type", "Accept"])
@pytest.mark.parametrize("value", [b"\xff\xfe", b'"', b"x\ty", b"x" * 9000, b"a,b;c=d"])
def test_a_strange_header_is_never_a_fault_of_ours(client: httpx.Client, name: str, value: bytes) -> None:
    body = b'{"merchantId":"m123","amount":1000,"currency":"USD","idempotencyKey":"headers"}'
    headers = {b"content-type": b"application/json"} | {name.lower().encode(): value}
    answer = client.post("/checkouts", content=body, headers=headers)
    assert answer.status_code in (201, 400, 415, 431)
