"""The upper limit of the benchmark is served as the service is, and gives the two responses that are measured."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import httpx
import pytest

from bench.subjects import LIMIT, Merchant, Subject, limit_running

CREATED: Final = b'{"id":"chk_1","status":"PENDING"}'
FOUND: Final = b'{"id":"chk_1","status":"COMPLETED"}'
SECONDS_MAX: Final = 90.0  # Far more than a response takes.


class Sample(BaseHTTPRequestHandler):
    """A service that has one checkout."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._respond(201, CREATED)

    def do_GET(self) -> None:
        self._respond(200 if self.path == "/checkouts/chk_1" else 404, FOUND)

    def log_message(self, *_given: object) -> None:
        """Print nothing."""

    def _respond(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Location", "/checkouts/chk_1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def sample() -> Iterator[Subject]:
    with HTTPServer(("127.0.0.1", 0), Sample) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield Subject("sample", f"http://127.0.0.1:{server.server_port}", (Merchant("m0"),))
        server.shutdown()


def test_the_limit_serves_the_responses_of_the_sample(sample: Subject, tmp_path: Path) -> None:
    with limit_running(sample, tmp_path) as limit, httpx.Client(base_url=limit.url, timeout=SECONDS_MAX) as http:
        created = http.post("/checkouts", content=b"{}")
        assert (created.status_code, created.content) == (201, CREATED)
        assert created.headers["location"] == "/checkouts/chk_1"
        found = http.get(created.headers["location"])
        assert (found.status_code, found.content) == (200, FOUND)
        assert limit.name == LIMIT
