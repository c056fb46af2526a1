"""What a request without a key costs: never more than a millisecond of the event loop, whatever it holds.

The processor's time of the serving process is measured, so that other processes on the machine change little. A slow
machine gets as much more as its plainest request takes there.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.authenticated_service import AuthenticatedService, authenticated_service
from tests.support.raw_http import connect

COUNT: Final = 150
COST_SECONDS_MAX: Final = 0.001
PLAIN_REQUESTS: Final = 30  # A plain request takes 30 µs where the limit is met with room to spare.

Make = Callable[[int], bytes]


def get(target: bytes, headers: bytes = b"", *, host: bytes = b"localhost") -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (target, host, headers)


def post(target: bytes, headers: bytes, body: bytes) -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n%b" % (target, headers, body)


def forwarded(value: bytes) -> bytes:
    return get(b"/health/live", b"X-Forwarded-For: %b\r\n" % value)


def bearing(secret: bytes) -> bytes:
    return get(b"/checkouts", b"Authorization: Bearer %b\r\n" % secret)


SIZED: Final = b"Content-Length: 65536\r\n"
SIGNED: Final = b"webhook-id: a\r\nwebhook-timestamp: 1\r\nwebhook-signature: %b\r\n" % (b"v1,AAAA " * 1000)
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"

TABLE: Final[dict[str, Make]] = {
    "the page, each time for another host": lambda number: get(b"/docs", host=b"host%d" % number),
    "the page, for a host that is none": lambda number: get(b"/docs", host=b"%d" % number + b"<" * 7000),
    "the document": lambda _: get(b"/openapi.json"),
    "whether it is ready": lambda _: get(b"/health/ready"),
    "a path of 4000 parts": lambda _: get(b"/a" * 4000),
    "a path of 8000 slashes": lambda _: get(b"/" * 8000),
    "a path of 2600 escapes": lambda _: get(b"/" + b"%FF" * 2600),
    "an idempotency key of 4000 parts": lambda _: get(b"/idempotency-keys" + b"/a" * 4000),
    "a query of 4000 parameters": lambda _: get(b"/checkouts?" + b"a&" * 3900),
    "a key of 15 KB": lambda number: bearing(b"sk_test_%d" % number + b"x" * 15_000),
    "a key behind 15 KB of spaces": lambda number: bearing(b" " * 15_000 + b"%d" % number),
    "a key that is well formed as far as it goes": lambda number: bearing(b"sk_test_%036d" % number),
    "97 headers": lambda _: get(b"/health/live", b"".join(b"x-a%d: %b\r\n" % (n, b"y" * 100) for n in range(97))),
    "15 000 commas of proxies": lambda _: forwarded(b"," * 15_000),
    "1500 times the same proxy": lambda _: forwarded(b"127.0.0.1," * 1500),
    "1000 proxies, each time others": lambda number: forwarded(
        b",".join(b"127.%d.%d.%d" % (number % 250, n // 250, n % 250) for n in range(1000))
    ),
    "a body of 64 KB": lambda _: post(b"/checkouts", SIZED, b"{" * 65_536),
    "a webhook of 64 KB with 1000 signatures": lambda _: post(
        b"/providers/simulator/webhooks", SIZED + SIGNED, b"[" * 65_536
    ),
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedService]:
    # The tests' own address is a trusted proxy's: what it forwards is looked at.
    proxies = {"PAIDONCE_TRUSTED_PROXIES": "127.0.0.0/8", "PAIDONCE_LOG_LEVEL": "warning"}
    with authenticated_service(tmp_path_factory.mktemp("cost"), **proxies) as keys:
        yield keys


def used_seconds(pid: int) -> float:
    """Read how long a process has used a processor, in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost_seconds(keys: AuthenticatedService, make: Make, count: int = COUNT) -> float:
    with connect(keys.url) as wire:
        began = used_seconds(keys.service.process.pid)
        for number in range(count):
            wire.send(make(number))
            assert wire.answer().status in (200, 400, 401, 404)
        return (used_seconds(keys.service.process.pid) - began) / count


@pytest.fixture(scope="module")
def limit_seconds(keys: AuthenticatedService) -> float:
    plain = cost_seconds(keys, lambda _: get(b"/health/live"), count=20 * COUNT)
    return max(COST_SECONDS_MAX, PLAIN_REQUESTS * plain)


def test_chunks_without_a_key_are_not_read(keys: AuthenticatedService, limit_seconds: float) -> None:
    # The connection is closed behind such a refusal, and with it the refusal may be lost.
    raw = post(b"/checkouts", CHUNKED, b"1\r\n{\r\n" * 2000 + b"0\r\n\r\n")
    began = used_seconds(keys.service.process.pid)
    for _ in range(COUNT):
        with connect(keys.url) as wire:
            wire.send(raw)
            assert wire.answer().status in (0, 401)
    assert (used_seconds(keys.service.process.pid) - began) / COUNT < limit_seconds


@pytest.mark.parametrize("name", TABLE)
def test_no_request_without_a_key_costs_more_than_a_millisecond(
    keys: AuthenticatedService, limit_seconds: float, name: str
) -> None:
    assert cost_seconds(keys, TABLE[name]) < limit_seconds
