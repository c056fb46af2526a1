"""Connections: their number, and the address of the client."""

import select
from collections.abc import Callable
from contextlib import ExitStack

import httpx

from tests.support.raw_http import connect
from tests.support.service_process import ServiceProcess


def test_a_connection_too_many_waits_until_another_ends(start: Callable[..., ServiceProcess], sqlite_url: str) -> None:
    settings = {"PAIDONCE_CONNECTION_LIMIT": "3", "PAIDONCE_ADDRESS_LIMIT_PER_SECOND": "0.01"}
    settings |= {"PAIDONCE_ADDRESS_LIMIT_BURST": "5", "PAIDONCE_TRUSTED_PROXIES": "127.0.0.1"}
    service = start("dev", DATABASE_URL=sqlite_url, **settings)
    with ExitStack() as stack:
        first = [stack.enter_context(connect(service.url)) for _ in range(3)]
        for one in first:
            one.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n")
            assert one.answer().status == 200
        with connect(service.url) as fourth:
            fourth.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.8\r\n\r\n")
            # Those who are connected are answered meanwhile.
            first[1].send(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.8\r\n\r\n")
            assert first[1].answer().status == 200
            assert not select.select([fourth.socket], [], [], 0)[0]
            first[0].socket.close()
            assert fourth.answer().status == 200
    assert_addresses_are_told_by_the_proxy(service)


def assert_addresses_are_told_by_the_proxy(service: ServiceProcess) -> None:
    """The proxy appends the address that it saw. Everything before that was made up by the client."""

    def statuses(*forwarded: str) -> list[int]:
        path = f"{service.url}/health/live"
        return [client.get(path, headers={"X-Forwarded-For": one}).status_code for one in forwarded]

    with httpx.Client() as client:
        assert statuses(*["198.51.100.1"] * 6) == [200] * 5 + [429]
        assert statuses(*[f"203.0.113.{number}, 198.51.100.1" for number in range(3)]) == [429] * 3
        assert statuses("198.51.100.2", "2001:db8::1") == [200, 200]
        assert statuses(*[f"2001:db8::{number}" for number in range(2, 8)]) == [200] * 4 + [429] * 2


def test_nobody_is_believed_about_an_address_who_is_no_trusted_proxy(
    start: Callable[..., ServiceProcess], sqlite_url: str
) -> None:
    settings = {"PAIDONCE_ADDRESS_LIMIT_PER_SECOND": "0.01", "PAIDONCE_ADDRESS_LIMIT_BURST": "3"}
    service = start("dev", DATABASE_URL=sqlite_url, **settings)
    answers = [
        httpx.get(f"{service.url}/health/live", headers={"X-Forwarded-For": f"192.0.2.{number}"}) for number in range(4)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    refused = answers[3]
    assert refused.json()["code"] == "rate_limited"
    assert int(refused.headers["Retry-After"]) in range(1, 101)
    assert refused.headers["RateLimit-Policy"] == '"address";q=3;w=300'
    assert refused.headers["RateLimit"] == f'"address";r=0;t={refused.headers["Retry-After"]}'
