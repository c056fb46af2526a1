"""How large a request may be and how long its body may take, whatever the server that reads it lets through.

What two readers of the same bytes could take for two different requests is refused, as far as it can be seen here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paidonce.errors import (
    BodyTooLarge,
    HeadersTooLarge,
    MalformedRequest,
    PaidonceError,
    RequestTimeout,
    TargetTooLong,
)
from paidonce.http.rate_limits import BODY_BYTES_MAX

TARGET_BYTES_MAX: Final = 8 * 1024  # RFC 9110 asks for 8000 at least.
HEAD_BYTES_MAX: Final = 16 * 1024  # Names and values together; twice what most proxies let through.
HEADERS_MAX: Final = 100
LENGTH_DIGITS_MAX: Final = 20  # Python refuses to read numbers of thousands of digits.
PIECES_MAX: Final = 1000  # Each costs the server two changes of thread; a body in parts of 64 bytes is nobody's.
SWEEP_SECONDS: Final = 0.25
HTTP_1_0: Final = ("1", "1.0")  # Granian says the first, uvicorn the second.
# Two of one of these would be read in two ways: by a proxy the first, by us the last.
ONCE: Final = frozenset(
    (
        b"authorization",
        b"content-length",
        b"content-type",
        b"host",
        b"idempotency-key",
        b"transfer-encoding",
        b"x-request-id",
    )
)


ReceiveInTime: TypeAlias = Callable[[Receive, float], Awaitable[Message]]
"""Receives a message until a time of the event loop's clock; raises RequestTimeout."""


class _Body:
    """A body on its way, bounded in bytes, in pieces, and in time; ``length`` is None where it comes in chunks."""

    __slots__ = ("_deadline", "_has_ended", "_in_time", "_length", "_pieces", "_receive", "_received")

    def __init__(self, in_time: ReceiveInTime, receive: Receive, length: int | None, deadline: float) -> None:
        self._in_time = in_time
        self._deadline = deadline
        self._receive = receive
        self._length = length
        self._received = 0
        self._pieces = 0
        self._has_ended = False

    async def receive(self) -> Message:
        """Receive what comes next: of the body, and when it has ended whatever the server tells."""
        if self._has_ended:
            return await self._receive()
        self._has_ended = True  # Unless more is to come.
        message = await self._in_time(self._receive, self._deadline)
        if message["type"] == "http.disconnect":
            raise MalformedRequest("The body ended before it was complete.")
        self._received += len(message.get("body", b""))
        self._pieces += 1
        if self._received > BODY_BYTES_MAX or self._pieces > PIECES_MAX:
            raise _body_too_large()
        if self._received == self._length:
            message["more_body"] = False  # The server would say so too, with one more call across its threads.
        self._has_ended = not message.get("more_body", False)
        return message

    async def discard_rest(self) -> None:
        """Read what nobody wanted: a server that has not read all of it closes, and its answer could be lost with that.

        Chunks are not read: they cost more than they bring.
        """
        with suppress(PaidonceError):
            while self._length is not None and not self._has_ended:
                await self.receive()


class _NoBody:
    """The body of a request that has none. To ask the server for it would be a call across its threads."""

    __slots__ = ("_has_ended", "_receive")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._has_ended = False

    async def receive(self) -> Message:
        """Receive the end of the body, and then whatever the server tells."""
        if self._has_ended:
            return await self._receive()
        self._has_ended = True
        return {"type": "http.request", "body": b"", "more_body": False}


class RequestLimits:
    """Refuses what is too large, too slow, or ambiguous, by raising.

    No request costs a timer: as long as bodies are being read, one task looks at all of them four times a second.
    """

    def __init__(self, app: ASGIApp, *, body_seconds: float) -> None:
        self._app = app
        self._body_seconds = body_seconds
        self._deadlines: dict[asyncio.Task[Any], float] = {}  # Of the tasks that wait for a part of a body.
        self._late: set[asyncio.Task[Any]] = set()
        self._sweeper: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; raises the PaidonceError that refuses it."""
        length, is_undeclared = check_head(scope)
        if not length and not is_undeclared:
            await self._app(scope, _NoBody(receive).receive, send)
            return
        deadline = asyncio.get_running_loop().time() + self._body_seconds
        body = _Body(self._in_time, receive, length, deadline)
        try:
            await self._app(scope, body.receive, send)
        except PaidonceError:
            await body.discard_rest()
            raise

    async def _in_time(self, receive: Receive, deadline: float) -> Message:
        task = asyncio.current_task()
        assert task is not None, "a server calls an application in a task"
        self._deadlines[task] = deadline
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().create_task(self._sweep())
        try:
            return await receive()
        except asyncio.CancelledError:
            if task not in self._late or task.uncancel():
                raise
            raise RequestTimeout("The body of the request did not arrive in time. The request had no effect.") from None
        finally:
            del self._deadlines[task]
            self._late.discard(task)

    async def _sweep(self) -> None:
        """Stop who is late, until nobody reads."""
        loop = asyncio.get_running_loop()
        with suppress(asyncio.CancelledError):
            while self._deadlines:
                await asyncio.sleep(SWEEP_SECONDS)
                now = loop.time()
                late = {task for task, deadline in self._deadlines.items() if now >= deadline}
                for task in late - self._late:
                    task.cancel()
                self._late |= late
        self._sweeper = None


def check_head(scope: Scope) -> tuple[int | None, bool]:
    """Check the request line and the headers; returns the length of the body, if declared, and whether a body may come
    without one: in chunks, or over HTTP/2.

    Raises TargetTooLong, HeadersTooLarge, MalformedRequest or BodyTooLarge.
    """
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    if len(path) + len(scope["query_string"]) > TARGET_BYTES_MAX:
        raise TargetTooLong(f"The path and query must not exceed {TARGET_BYTES_MAX // 1024} KiB.")
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    size = 0
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        size += len(name) + len(value)
        if name in ONCE:
            if name in found:
                raise MalformedRequest(f"The header {name.decode()} is repeated.")
            found[name] = value
    if size > HEAD_BYTES_MAX or len(headers) > HEADERS_MAX:
        raise HeadersTooLarge(
            f"The headers must not exceed {HEADERS_MAX} lines and {HEAD_BYTES_MAX // 1024} KiB in total."
        )
    is_old = scope["http_version"] in HTTP_1_0
    if not path.startswith(b"/"):
        raise MalformedRequest("The request target is not a path.")
    if not is_old and not found.get(b"host"):
        raise MalformedRequest("HTTP/1.1 requires a Host header.")
    length = _length(found, is_old=is_old)
    return length, length is None and (b"transfer-encoding" in found or not scope["http_version"].startswith("1"))


def _length(found: dict[bytes, bytes], *, is_old: bool) -> int | None:
    coding, length = found.get(b"transfer-encoding"), found.get(b"content-length")
    if coding is not None and (length is not None or is_old or coding.strip().lower() != b"chunked"):
        raise MalformedRequest("The length of the body is ambiguous.")
    if length is None:
        return None
    if not length.isdigit():
        raise MalformedRequest("The length of the body is not a number.")
    if len(length) > LENGTH_DIGITS_MAX or int(length) > BODY_BYTES_MAX:
        raise _body_too_large()
    return int(length)


def _body_too_large() -> BodyTooLarge:
    return BodyTooLarge(f"The body must not exceed {BODY_BYTES_MAX // 1024} KiB.")
