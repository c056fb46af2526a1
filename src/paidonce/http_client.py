"""The HTTP client for payment providers and for our own services. For merchants' receivers see
webhook_endpoints/receiver_client.py.

A request is sent at most once. Where there is no response, the reason decides what may be done next: ``NotSent`` proves
that the request had no effect, and ``AnswerLost`` proves nothing.
"""

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from multidict import CIMultiDict
from yarl import URL

from paidonce import __version__

ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024  # The simulator lists all charges in one response.
KEEP_ALIVE_SECONDS: Final = 4.0  # Shorter than that of usual servers (at least 5 s), so that the client closes first.


class NoAnswer(Exception):
    """No complete response was received. One of its two subclasses is raised."""


class NotSent(NoAnswer):
    """No byte of the request was sent: name resolution, the connection or the TLS handshake failed, or no connection
    was free in time.
    """


class AnswerLost(NoAnswer):
    """The request was sent, at least in part, and no complete response was received. It is unknown whether it took
    effect.
    """


class Answer(msgspec.Struct, frozen=True):
    """A response: its status, its body, and its headers, whose names are case-insensitive."""

    status: int
    body: bytes
    headers: Mapping[str, str] = msgspec.field(default_factory=CIMultiDict)

    def json(self) -> Any:  # noqa: ANN401 - JSON
        """Decode the body."""
        return msgspec.json.decode(self.body)


class HttpClient:
    """Sends requests to the server at ``url`` (scheme, host and port), over at most ``connections_max`` persistent
    connections. ``close`` ends them. Create it inside the event loop that uses it.

    ``timeout_seconds`` limits the whole exchange, including the wait for a connection. The client follows no redirects,
    ignores proxies and credentials in the environment, stores no cookies, and requests no compression.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 5.0,
        connections_max: int = 1024,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
    ) -> None:
        self._origin: Final = str(URL(url).origin())
        self._timeout_seconds: Final = timeout_seconds
        self._answer_bytes_max: Final = answer_bytes_max
        self._session: Final = aiohttp.ClientSession(
            connector=_Connector(limit=connections_max, keepalive_timeout=KEEP_ALIVE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # ``request`` limits the whole.
            headers={"User-Agent": f"paidonce/{__version__}"},
            skip_auto_headers=("Accept-Encoding", "Content-Type"),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def request(
        self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request and read the response. A ``body`` of bytes is sent as it is, any other as JSON.

        Raises NotSent or AnswerLost.
        """
        fields = CIMultiDict(headers or {})
        content = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        if content is not None:
            fields.setdefault("Content-Type", "application/json")
        sending = _Sending()
        _current.set(sending)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._exchange(method, path, content, fields)
        except TimeoutError:
            raise sending.failed(f"no complete answer within {self._timeout_seconds:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise sending.failed(_shown(error)) from error

    async def close(self) -> None:
        """Close the connections. No more requests can be sent."""
        await self._session.close()

    async def _exchange(self, method: str, path: str, content: bytes | None, fields: CIMultiDict[str]) -> Answer:
        url = URL(self._origin + path, encoded=True)
        response = await self._session.request(method, url, data=content, headers=fields, allow_redirects=False)
        try:
            return Answer(response.status, await self._read(response), response.headers)
        finally:
            response.close()  # Closes the connection where the response was not read completely.

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        parts = []
        bytes_left = self._answer_bytes_max
        async for part in response.content.iter_any():
            bytes_left -= len(part)
            if bytes_left < 0:
                raise _Broken(f"the answer has more than {self._answer_bytes_max} bytes")
            parts.append(part)
        return b"".join(parts)


class _Sending:
    """Whether a request was given a connection. From then on it may have been sent."""

    begun = False

    def failed(self, reason: str) -> NoAnswer:
        """Return the exception for a request without a response."""
        return AnswerLost(reason) if self.begun else NotSent(reason)


_current: Final[ContextVar[_Sending]] = ContextVar("the request that a connection is taken for")


class _Broken(aiohttp.ClientError):
    """An exchange that this module ended."""


class _Connector(aiohttp.TCPConnector):
    """Gives each request one connection, once, and never one that holds unexpected bytes."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
    ) -> Connection:
        """Connect as aiohttp does; raises ClientError where the request must not be sent."""
        sending = _current.get()
        if sending.begun:
            # aiohttp retries a GET, PUT or DELETE where the server closed a persistent connection.
            raise _Broken("the server closed the connection")
        connection = await super().connect(req, traces, timeout)
        assert connection.protocol is not None, "it was just taken"
        if connection.protocol.should_close:
            # aiohttp would take bytes from the idle connection (a late 408, a second response) for this response.
            connection.close()
            raise _Broken("the server sent an answer before it was asked")
        sending.begun = True
        return connection


def _shown(error: Exception) -> str:
    """Describe a failure, without the addresses that the text of the error may contain."""
    if isinstance(error, _Broken):
        return str(error)
    return f"the connection failed: {type(error.__cause__ or error).__name__}"
