"""The first steps with the service: the three calls of the demo, as in its README."""

import json
import shlex
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from tests.support.merchant_client import Json, MerchantClient
from tests.support.oracle import charges_of
from tests.support.service_process import ServiceProcess, wait_until

THREE_LINES = """\
curl -X POST {url}/checkouts \\
  -H "Content-Type: application/json" \\
  -d '{{"merchantId":"m123","amount":1000,"currency":"USD","idempotencyKey":"abc123"}}'
curl {url}/checkouts/<checkout_id>
curl -X POST {url}/checkouts/<checkout_id>/pay
"""


def three_calls(url: str) -> tuple[Json, Json, Json]:
    """Make the three calls of the demo, each until its checkout is as expected; returns the three checkouts."""
    create, get, pay = [shlex.split(line) for line in THREE_LINES.format(url=url).replace("\\\n", "").splitlines()]
    status, created = curl(create)
    assert status == 201
    status, paying = curl([word.replace("<checkout_id>", created["id"]) for word in pay])
    assert status == 202
    get = [word.replace("<checkout_id>", created["id"]) for word in get]
    wait_until(lambda: curl(get)[1]["status"] != "PROCESSING")
    return created, paying, curl(get)[1]


def curl(arguments: list[str]) -> tuple[int, Json]:
    """Send exactly what ``curl`` sends, because not every machine has it. A POST without data has no length."""
    words = iter(arguments[1:])
    method, url, headers, data = "", "", [], b""
    for word in words:
        match word:
            case "-X":
                method = next(words)
            case "-H":
                headers.append(next(words))
            case "-d":
                data = next(words).encode()
            case _:
                url = word
    place = urlsplit(url)
    if data:
        headers.append(f"Content-Length: {len(data)}")
    head = [
        f"{method or 'GET'} {place.path} HTTP/1.1",
        f"Host: {place.netloc}",
        "User-Agent: curl/7.88.1",
        "Accept: */*",
    ]
    with socket.create_connection((place.hostname or "", place.port or 80), timeout=90) as connection:
        connection.sendall("\r\n".join([*head, *headers, "", ""]).encode() + data)
        with connection.makefile("rb") as answer:
            status = int(answer.readline().split()[1])
            length = 0
            while (line := answer.readline().strip().lower()) != b"":
                if line.startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            return status, json.loads(answer.read(length))


def test_the_three_calls_of_the_demo_lead_from_pending_over_processing_to_completed(service: ServiceProcess) -> None:
    created, paying, paid = three_calls(service.url)
    assert [one["status"] for one in (created, paying, paid)] == ["PENDING", "PROCESSING", "COMPLETED"]
    assert {one["id"] for one in (created, paying, paid)} == {created["id"]}
    assert len(charges_of(service.books, created["id"])) == 1


def test_the_start_prints_the_three_calls_ready_to_be_copied(service: ServiceProcess) -> None:
    output = " ".join(service.output.split())
    assert all(" ".join(line.split()) in output for line in THREE_LINES.format(url=service.url).splitlines())


def test_the_demos_database_in_memory_serves_the_three_calls_and_leaves_no_file(
    start: Callable[..., ServiceProcess],
) -> None:
    settings = {"DATABASE_URL": "file:./dev.db?mode=memory&cache=shared", "PAIDONCE_SIMULATOR_DATABASE": ""}
    service = start("dev", program="paidonce", **settings)
    assert [one["status"] for one in three_calls(service.url)] == ["PENDING", "PROCESSING", "COMPLETED"]
    assert list(service.folder.iterdir()) == []


async def test_a_checkout_that_nobody_created_is_not_found(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        answer = await shop.http.get("/checkouts/chk_00000000000000000000000000")
    assert (answer.status_code, answer.json()["code"]) == (404, "checkout_not_found")


@pytest.mark.parametrize("call", ["pay", "cancel", "timeline"])
async def test_nothing_can_be_done_with_a_checkout_that_nobody_created(service: ServiceProcess, call: str) -> None:
    async with MerchantClient(service.url) as shop:
        method = "GET" if call == "timeline" else "POST"
        answer = await shop.http.request(method, f"/checkouts/chk_00000000000000000000000000/{call}")
    assert (answer.status_code, answer.json()["code"]) == (404, "checkout_not_found")
