"""The same application on uvicorn, loaded by its factory: the calls of the contract, and the raw requests again."""

from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from tests.conformance.test_raw_requests import BODY, TABLE, ask, check
from tests.support.service_process import ServiceProcess, processes

# What uvicorn answers otherwise than Granian, and why.
OTHERWISE: Final = {
    "two lengths that agree": (400, "It refuses what Granian makes one."),
    "a length and chunks": (400, "It refuses what Granian reads as chunks."),
    "chunks and a length": (400, "It refuses what Granian reads as chunks."),
    "chunks with a trailer": (400, "It takes trailers for headers, and this one contradicts the body."),
    "chunks with 10 000 trailers": (431, "It takes trailers for headers, which are then too many."),
    "a body in 2000 chunks": (201, "It joins chunks that arrive together."),
    "a body in 40 000 chunks": (400, "It joins chunks that arrive together, and these are no JSON."),
    "a path of 70 KB": (400, "It refuses beyond 64 KiB by itself."),
    "a method of 1 MB": (400, "It refuses unknown methods by itself."),
    "a bare LF in a header": (400, "It refuses what Granian takes for the end of a line."),
    "bare LFs everywhere": (400, "It refuses what Granian takes for the end of a line."),
    "a method that nobody knows": (400, "It refuses unknown methods by itself."),
    "a method in small letters": (400, "It refuses unknown methods by itself."),
    "HTTP/2.0": (200, "It does not look at the second digit."),
    "HTTP/2's greeting": (400, "It refuses by itself what Granian closes."),
}

# What uvicorn waits for without an end: it has no time-out for a head. A proxy in front has one.
UNENDING: Final = {
    "HTTP/0.9",
    "a request line without an end",
    "headers without an end",
    "empty lines and nothing more",
    "nothing",
}
# What uvicorn may take for another request: docs/http.md says why it belongs behind a proxy.
MISREAD: Final = {"an offer of HTTP/2 with a body"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("second")
    settings = {
        "DATABASE_URL": f"file:{folder}/paidonce.db",
        "PAIDONCE_BODY_SECONDS": "3",
        "PAIDONCE_SIMULATOR_LATENCY_MS": "20",
        "PAIDONCE_LOG_LEVEL": "warning",
    }
    with processes(folder) as start:
        assert start("db", "upgrade", **settings).wait_for_end() == 0
        service = start(program="tests.support.second_server", **settings).wait_until_ready()
        yield service
        assert service.process.poll() is None
        assert [line for line in service.lines if '"level": "' in line] == [], "hostile requests fill no log"
        service.terminate()
        service.wait_for_end()
        assert "Traceback" not in service.output


@pytest.mark.parametrize("name", [name for name in TABLE if name not in UNENDING | MISREAD])
def test_a_raw_request_is_answered_cleanly_or_closed(service: ServiceProcess, name: str) -> None:
    raw, status = TABLE[name]
    check(ask(service, raw), OTHERWISE.get(name, (status, ""))[0])


def test_a_checkout_is_created_paid_and_followed(service: ServiceProcess) -> None:
    with httpx.Client(base_url=service.url, headers={"Content-Type": "application/json"}) as client:
        body = BODY.replace(b'"idempotencyKey":"raw"', b'"idempotencyKey":"second"')
        made = client.post("/checkouts", content=body)
        assert made.status_code == 201
        path = made.headers["location"]
        assert client.post("/checkouts", content=body).headers["idempotent-replayed"] == "true"
        paid = client.post(f"{path}/pay", headers={"Prefer": "wait=20", "Idempotency-Key": "pay"})
        assert (paid.status_code, paid.json()["status"]) == (202, "COMPLETED")
        assert client.head(path).headers["content-length"] == str(len(client.get(path).content))
        with client.stream("GET", "/events/stream", params={"merchantId": "raw", "after": "0"}) as stream:
            assert "event: checkout.created" in stream.iter_lines()
        refused = client.get("/checkouts/")
        assert (refused.status_code, refused.json()["code"]) == (404, "route_not_found")
