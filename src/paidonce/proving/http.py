"""An HTTP client for buyers: one exchange at a time on each connection, and nothing that they do not need.

The buyers share the machine with the service that they try; a general client took more of it than the service did.
"""

import asyncio
from contextlib import suppress
from typing import Any, Final

import httptools
import msgspec


class Unanswered(Exception):
    """No answer came: whatever was asked for may or may not have taken place."""


class Answer(msgspec.Struct, frozen=True):
    """An answer: its status, and what its body says."""

    status: int
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - JSON
        """Decode the body."""
        return msgspec.json.decode(self.body)


class HttpClient:
    """Sends requests to one server on loopback, over connections that are kept; ``close`` ends them."""

    def __init__(self, port: int, *, timeout_seconds: float = 5.0) -> None:
        self._port: Final = port
        self._timeout_seconds: Final = timeout_seconds
        self._idle: list[_Connection] = []

    async def request(
        self, method: str, path: str, body: object = None, *, headers: dict[str, str] | None = None
    ) -> Answer:
        """Ask, with ``body`` as JSON where there is one; raises Unanswered."""
        content = b"" if body is None else msgspec.json.encode(body)
        lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(content)}"]
        if body is not None:
            lines.append("content-type: application/json")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        connection = None
        try:
            async with asyncio.timeout(self._timeout_seconds):
                connection = self._idle.pop() if self._idle else await self._connect()
                answer = await connection.exchange("\r\n".join([*lines, "", ""]).encode() + content)
        except (OSError, TimeoutError) as error:
            if connection is not None:
                connection.close()
            raise Unanswered from error
        if not connection.open:
            connection.close()
        else:
            self._idle.append(connection)
        return answer

    def close(self) -> None:
        """End the connections."""
        for connection in self._idle:
            connection.close()
        self._idle = []

    async def _connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: _Connection(self._idle), "127.0.0.1", self._port)
        return connection


class _Connection(asyncio.Protocol):
    """One connection; it takes itself from the idle ones where the server ends it."""

    def __init__(self, idle: list["_Connection"]) -> None:
        self.open = False
        self._idle = idle
        self._answered: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.open = True

    def exchange(self, request: bytes) -> "asyncio.Future[Answer]":
        """Send a request; returns its answer to come, which raises OSError where the connection breaks."""
        self._answered = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        if self.open:
            self._transport.write(request)
        else:
            self._answered.set_exception(ConnectionResetError())
        return self._answered

    def close(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        with suppress(ValueError):
            self._idle.remove(self)
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or ConnectionResetError())

    # What the parser finds.

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        self.open = self.open and self._parser.should_keep_alive()
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(Answer(self._parser.get_status_code(), b"".join(self._body)))
