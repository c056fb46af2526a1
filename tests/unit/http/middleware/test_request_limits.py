"""What a request may take, whatever server hands it on: each is refused by name before a handler sees it."""

import asyncio
from collections.abc import Iterable

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from paidonce.errors import (
    BodyTooLarge,
    HeadersTooLarge,
    MalformedRequest,
    PaidonceError,
    RequestTimeout,
    TargetTooLong,
)
from paidonce.http.middleware.request_limits import HEADERS_MAX, PIECES_MAX, RequestLimits
from paidonce.http.rate_limits import BODY_BYTES_MAX

SECONDS_MAX = 90.0
HOST = (b"host", b"here")


class Handler:
    """Reads the body, and keeps it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.bodies.append(await Request(scope, receive).body())
        await Response()(scope, receive, send)


async def ignore(_message: Message) -> None:
    """Send nothing."""


async def ask(
    *headers: tuple[bytes, bytes],
    pieces: Iterable[bytes] = (b"",),
    path: str = "/",
    version: str = "1.1",
    ends: bool = True,
    body_seconds: float = 600,
) -> bytes:
    """Ask; returns the body that a handler reads. A body that has no end stops coming, or breaks off."""
    handler = Handler()
    messages: list[Message] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    if ends:
        messages[-1]["more_body"] = False

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        if body_seconds < 1:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    scope = {
        "type": "http",
        "method": "POST",
        "http_version": version,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": list(headers),
    }
    try:
        async with asyncio.timeout(SECONDS_MAX) as patience:
            await RequestLimits(handler, body_seconds=body_seconds)(scope, receive, ignore)
    finally:
        assert not patience.expired(), "this test gave up, and not the limit"
    return handler.bodies[0]


async def test_a_request_without_a_body_waits_only_for_its_client_to_leave() -> None:
    assert await ask(HOST, pieces=(b"the server must not be asked for this",)) == b""
    seen: list[Message] = []

    async def handler(_scope: Scope, receive: Receive, _send: Send) -> None:
        seen.extend([await receive(), await receive()])

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "http_version": "1.1", "path": "/", "query_string": b"", "headers": [HOST]}
    await RequestLimits(handler, body_seconds=600)(scope, receive, ignore)
    assert [one["type"] for one in seen] == ["http.request", "http.disconnect"]


async def test_a_body_of_http_2_is_read_and_bounded_without_a_declared_length() -> None:
    assert await ask(HOST, pieces=(b"a", b"b"), version="2") == b"ab"
    with pytest.raises(BodyTooLarge):
        await ask(HOST, pieces=(bytes(BODY_BYTES_MAX), b"b"), version="2")


REFUSED = {
    "a long path": (TargetTooLong, ask(HOST, path="/" + "a" * 8192)),
    "a long header": (HeadersTooLarge, ask(HOST, (b"x-a", b"a" * 17_000))),
    "many headers": (HeadersTooLarge, ask(HOST, *[(b"x-a", b"a")] * HEADERS_MAX)),
    "no host": (MalformedRequest, ask()),
    "an empty host": (MalformedRequest, ask((b"host", b""))),
    "two hosts": (MalformedRequest, ask(HOST, HOST)),
    "two keys": (MalformedRequest, ask(HOST, (b"idempotency-key", b"a"), (b"idempotency-key", b"a"))),
    "a target that is no path": (MalformedRequest, ask(HOST, path="*")),
    "a length and chunks": (MalformedRequest, ask(HOST, (b"content-length", b"1"), (b"transfer-encoding", b"chunked"))),
    "a coding that is unknown": (MalformedRequest, ask(HOST, (b"transfer-encoding", b"gzip, chunked"))),
    "chunks in HTTP/1.0": (MalformedRequest, ask(HOST, (b"transfer-encoding", b"chunked"), version="1")),
    "chunks in HTTP/1.0, as uvicorn says it": (
        MalformedRequest,
        ask(HOST, (b"transfer-encoding", b"chunked"), version="1.0"),
    ),
    "a length that is no number": (MalformedRequest, ask(HOST, (b"content-length", b"-5"))),
    "a length of 10 000 digits": (BodyTooLarge, ask(HOST, (b"content-length", b"9" * 10_000))),
    "a length beyond the limit": (BodyTooLarge, ask(HOST, (b"content-length", b"65537"))),
    "chunks beyond the limit": (
        BodyTooLarge,
        ask(HOST, (b"transfer-encoding", b"chunked"), pieces=[b"a" * 32_768] * 3),
    ),
    "more pieces than the limit": (
        BodyTooLarge,
        ask(HOST, (b"transfer-encoding", b"chunked"), pieces=[b"a"] * (PIECES_MAX + 1)),
    ),
    "a body that breaks off": (MalformedRequest, ask(HOST, (b"content-length", b"9"), pieces=[b"a"], ends=False)),
    "a body that stops coming": (
        RequestTimeout,
        ask(HOST, (b"content-length", b"9"), pieces=[b"a"], ends=False, body_seconds=0.01),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_too_large_too_slow_or_ambiguous_is_refused(name: str) -> None:
    kind, asking = REFUSED[name]
    refused: type[PaidonceError] = kind
    with pytest.raises(refused):
        await asking


async def test_what_fits_is_handed_on_whole() -> None:
    body = b"a" * BODY_BYTES_MAX
    assert await ask(HOST, (b"content-length", b"65536"), pieces=[body[:1], body[1:]]) == body
    assert await ask(HOST, (b"transfer-encoding", b"Chunked"), pieces=[b"a"] * PIECES_MAX) == b"a" * PIECES_MAX
    assert await ask(version="1.0") == b""


async def test_a_body_ends_with_its_last_byte_whatever_else_the_server_has_to_say() -> None:
    # The last message of such a server costs two changes of thread, and holds nothing.
    assert await ask(HOST, (b"content-length", b"2"), pieces=[b"a", b"b"], ends=False, body_seconds=0.01) == b"ab"
