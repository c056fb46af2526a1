"""The HTTP client: calls a payment provider, or a service of ours. Merchants' receivers have outbox/calling.py.

A request is sent at most once. No answer is one of two things, and the difference decides what may be done next:
``NotSent`` is proof that the request had no effect, ``AnswerLost`` is not proof of anything.
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

ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024  # The simulator's list of all charges is one answer.
KEEP_ALIVE_SECONDS: Final = 4.0  # Shorter than any usual server's (5 s at least), so that it is the client that closes.


class NoAnswer(Exception):
    """No complete answer came. It is raised as one of the two below."""


class NotSent(NoAnswer):
    """No byte of the request was sent: the name has no address, the connection or the TLS handshake failed, or no
    connection was free in time.
    """


class AnswerLost(NoAnswer):
    """The request was sent, or a part of it, and no complete answer came: nobody knows whether it took effect."""


class Answer(msgspec.Struct, frozen=True):
    """An answer: its status and its body."""

    status: int
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - JSON
        """Decode the body."""
        return msgspec.json.decode(self.body)


class HttpClient:
    """Sends requests to the server at ``url`` (scheme, host and port), over at most ``connections_max`` connections,
    which are kept; ``close`` ends them. It is made inside the event loop that it is used in.

    ``timeout_seconds`` limits the whole exchange, with the wait for a connection. It follows no redirect, takes no
    proxy and no credentials from the environment, keeps no cookie, and asks for no compression.
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
        """Send a request and read its answer. A ``body`` of bytes is sent as it is, any other as JSON.

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
        """End the connections. No request can be sent any more."""
        await self._session.close()

    async def _exchange(self, method: str, path: str, content: bytes | None, fields: CIMultiDict[str]) -> Answer:
        url = URL(self._origin + path, encoded=True)
        response = await self._session.request(method, url, data=content, headers=fields, allow_redirects=False)
        try:
            return Answer(response.status, await self._read(response))
        finally:
            response.close()  # Ends the connection where the answer was not read to its end.

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
    """Whether a request has been given a connection: from then on, it may have been sent."""

    begun = False

    def failed(self, reason: str) -> NoAnswer:
        """Make the exception for a request that was not answered."""
        return AnswerLost(reason) if self.begun else NotSent(reason)


_current: Final[ContextVar[_Sending]] = ContextVar("the request that a connection is taken for")


class _Broken(aiohttp.ClientError):
    """An exchange that failed for a reason of ours."""


class _Connector(aiohttp.TCPConnector):
    """Gives a request one connection, once, and none that holds bytes which nobody asked for."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
    ) -> Connection:
        """Connect as aiohttp does; raises ClientError where it must not."""
        sending = _current.get()
        if sending.begun:
            # aiohttp sends a GET, PUT or DELETE again where the server closed a connection that was kept.
            raise _Broken("the server closed the connection")
        connection = await super().connect(req, traces, timeout)
        assert connection.protocol is not None, "it was just taken"
        if connection.protocol.should_close:
            # Else aiohttp would take what came on an idle connection (a late 408, a second answer) for this answer.
            connection.close()
            raise _Broken("the server sent an answer before it was asked")
        sending.begun = True
        return connection


def _shown(error: Exception) -> str:
    """Say what failed, without the addresses that the error's own text may hold."""
    if isinstance(error, _Broken):
        return str(error)
    return f"the connection failed: {type(error.__cause__ or error).__name__}"
