"""An HTTP client that costs next to nothing. On two cores, a convenient one would dominate the measurement."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

import httptools

ANSWER_SECONDS_MAX: Final = 30.0


class Answer(NamedTuple):
    """A status and a body. A status of 0 means that no response came."""

    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it is a 2xx."""
        return 200 <= self.status < 300


NO_ANSWER: Final = Answer(0, b"")


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request at a time. The parser calls the ``on_…`` methods."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._waiting: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transport has the same interface.

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        answer = Answer(self._parser.get_status_code(), b"".join(self._body))
        self._body.clear()
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(NO_ANSWER)

    async def exchange(self, request: bytes) -> Answer:
        """Send a request and wait for its answer."""
        if self._transport is None:
            return NO_ANSWER
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting

    @property
    def is_open(self) -> bool:
        """Whether it can be used for another request."""
        return self._transport is not None

    def close(self) -> None:
        """Close the connection. A request in flight gets NO_ANSWER."""
        if self._transport is not None:
            self._transport.abort()


class Client:
    """Several connections to one service."""

    def __init__(self, url: str, connections: list[Connection]) -> None:
        self.url = url
        self.connections = connections

    async def send_all(self, requests: Iterable[bytes]) -> list[Answer]:
        """Send every request, one at a time on each connection; the responses are in the order of the requests."""
        numbered = enumerate(requests)
        answers: dict[int, Answer] = {}

        async def use(place: int) -> None:
            for number, request in numbered:
                answers[number] = await self.exchange(place, request)

        await asyncio.gather(*(use(place) for place in range(len(self.connections))))
        return [answers[number] for number in range(len(answers))]

    async def exchange(self, place: int, request: bytes) -> Answer:
        """Send a request on one of the connections, which is reopened if it was lost, with a time-out."""
        connection = self.connections[place]
        if not connection.is_open:
            try:
                connection = self.connections[place] = await open_connection(self.url)
            except OSError:
                return NO_ANSWER
        deadline = asyncio.get_running_loop().call_later(ANSWER_SECONDS_MAX, connection.close)
        try:
            return await connection.exchange(request)
        finally:
            deadline.cancel()


async def open_connection(url: str) -> Connection:
    """Connect to a service; raises OSError."""
    parts = urlsplit(url)
    _, connection = await asyncio.get_running_loop().create_connection(
        Connection, parts.hostname or "127.0.0.1", parts.port or 80
    )
    return connection


@asynccontextmanager
async def connect(url: str, connections: int) -> AsyncIterator[Client]:
    """Open ``connections`` connections, and close them afterwards."""
    client = Client(url, [await open_connection(url) for _ in range(connections)])
    try:
        yield client
    finally:
        for connection in client.connections:
            connection.close()


def errors_of(answers: Sequence[Answer]) -> dict[str, int]:
    """Count refused requests (``status``) and requests without a response (``socket``)."""
    return {
        "status": sum(1 for answer in answers if answer.status and not answer.ok),
        "socket": sum(1 for answer in answers if not answer.status),
    }
