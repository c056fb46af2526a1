"""Proxies: whose word is taken for where a request comes from."""

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from paidonce.http.middleware.proxies import TrustedProxies


async def who(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(f"{scope['scheme']}://here for {scope['client'][0]}")(scope, receive, send)


async def ask(headers: bytes, *, address: str, proxies: str = "") -> bytes:
    """Ask from an address; returns for whom, and under which URL, the application takes the request."""
    app: ASGIApp = TrustedProxies(who, proxies) if proxies else who
    lines = [line.partition(b": ") for line in headers.splitlines()]
    transport = httpx.ASGITransport(app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport) as http:
        return (await http.get("http://here/", headers=[(name, value) for name, _, value in lines])).content


@pytest.mark.parametrize(
    ("address", "headers", "told"),
    [
        ("10.1.2.3", b"", b"http://here for 10.1.2.3"),
        ("10.1.2.3", b"X-Forwarded-For: 192.0.2.7\r\n", b"http://here for 192.0.2.7"),
        ("10.1.2.3", b"X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.9.9.9\r\n", b"http://here for 192.0.2.7"),
        ("10.1.2.3", b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.7\r\n", b"http://here for 192.0.2.7"),
        ("10.1.2.3", b"X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n", b"http://here for 10.0.0.1"),
        ("10.1.2.3", b"X-Forwarded-For: 192.0.2.7:4711\r\n", b"http://here for 192.0.2.7"),
        ("10.1.2.3", b"X-Forwarded-For: [2001:db8::7]:4711\r\n", b"http://here for 2001:db8::7"),
        ("10.1.2.3", b"X-Forwarded-For: 2001:db8::7\r\n", b"http://here for 2001:db8::7"),
        ("10.1.2.3", b"X-Forwarded-For: \r\n", b"http://here for 10.1.2.3"),
        ("10.1.2.3", b"X-Forwarded-Proto: https\r\n", b"https://here for 10.1.2.3"),
        ("10.1.2.3", b"X-Forwarded-Proto: javascript\r\n", b"http://here for 10.1.2.3"),
        ("::ffff:10.1.2.3", b"X-Forwarded-Proto: https\r\n", b"https://here for ::ffff:10.1.2.3"),
        ("2001:db8::1", b"X-Forwarded-For: 192.0.2.7\r\n", b"http://here for 192.0.2.7"),
        ("10.1.2.3", b"X-Forwarded-For: 6.6.6.6%b\r\n" % (b", 10.0.0.1" * 30), b"http://here for 10.0.0.1"),
        ("192.0.2.1", b"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n", b"http://here for 192.0.2.1"),
    ],
)
async def test_a_trusted_proxy_tells_the_client_and_the_scheme(address: str, headers: bytes, told: bytes) -> None:
    assert await ask(headers, address=address, proxies="10.0.0.0/8, 2001:db8::1") == told


async def test_where_no_proxy_is_trusted_nobody_is_believed() -> None:
    assert await ask(b"X-Forwarded-For: 192.0.2.7\r\n", address="10.1.2.3") == b"http://here for 10.1.2.3"
