"""An HTTP client for a service on the same machine or next to it: one exchange at a time on each connection.

It does what the simulated provider's connector and a proof's buyers need and no more; a general client took more of the
machine than the service itself (docs/decisions/0019).
"""

import asyncio
import select
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httptools
import msgspec

ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024  # A simulator's books, all on one page.
PORTS: Final = {"http": 80, "https": 443}


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
    """Sends requests to the server at ``url`` (scheme, host and port), over at most ``connections_max`` connections,
    which are kept; ``close`` ends them. ``timeout_seconds`` is for a whole exchange, with the wait for a connection.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 5.0, connections_max: int = 1024) -> None:
        parts = urlsplit(url)
        self._host: Final = parts.hostname or ""
        self._port: Final = parts.port or PORTS[parts.scheme]
        self._name: Final = parts.netloc.rpartition("@")[2]
        self._tls: Final = ssl.create_default_context() if parts.scheme == "https" else None
        self._timeout_seconds: Final = timeout_seconds
        self._places: Final = asyncio.Semaphore(connections_max)
        self._idle: list[_Connection] = []

    async def request(
        self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask. ``body`` is sent as it is where it is bytes, else as JSON. Raises Unanswered; follows no redirect."""
        content = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        lines = [f"{method} {path} HTTP/1.1", f"host: {self._name}", f"content-length: {len(content)}"]
        if body is not None:
            lines.append("content-type: application/json")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        try:
            async with asyncio.timeout(self._timeout_seconds), self._places:
                return await self._exchange(head + content)
        except TimeoutError:
            raise Unanswered("no answer in time") from None
        except OSError as error:
            # Refused or broken: before or after it took effect, who knows.
            raise Unanswered(f"the connection failed: {type(error).__name__}") from error

    async def _exchange(self, request: bytes) -> Answer:
        connection = self._take_idle() or await self._connect()
        try:
            answer = await connection.exchange(request)
        except BaseException:
            connection.close()
            raise
        if connection.open:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _take_idle(self) -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if not connection.has_news():
                return connection
            connection.close()
        return None

    def close(self) -> None:
        """End the connections that nobody uses."""
        for connection in self._idle:
            connection.close()
        self._idle = []

    async def _connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: _Connection(self._idle), self._host, self._port, ssl=self._tls
        )
        return connection


class _Connection(asyncio.Protocol):
    """One connection; it takes itself from the idle ones where the server ends it."""

    def __init__(self, idle: list["_Connection"]) -> None:
        self.open = False
        self._idle = idle
        self._answered: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class.
        self.open = True

    def has_news(self) -> bool:
        """Tell whether something has arrived that nobody asked for: its end, most likely."""
        news = select.poll()
        news.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(news.poll(0))

    def exchange(self, request: bytes) -> "asyncio.Future[Answer]":
        """Send a request; returns its answer to come, which raises OSError where the connection breaks."""
        self._answered = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._body_bytes = 0
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
        self._body_bytes += len(part)
        if self._body_bytes > ANSWER_BYTES_MAX:
            self._transport.abort()

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:  # noqa: PLR2004 - "go on": the answer is still to come
            return
        self.open = self.open and self._parser.should_keep_alive()
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(Answer(self._parser.get_status_code(), b"".join(self._body)))
