"""A merchant's events as Server-Sent Events: a reply without an end."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Final

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from paidonce.errors import PaidonceError
from paidonce.events.feed import Follower
from paidonce.events.model import Event
from paidonce.events.schemas import event_response
from paidonce.http.context import Header
from paidonce.http.disconnects import until_disconnected
from paidonce.http.rate_limits import RateLimitState
from paidonce.http.responses import encode

log = structlog.get_logger()

RETRY_MS: Final = 2000  # How long a client waits before it asks again.
HEADERS: Final[list[Header]] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),  # So that a proxy in front hands on each event at once.
]


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How long a stream is quiet, stuck, or open, in seconds."""

    heartbeat: float = 15.0  # Proxies close what is quiet for a minute.
    stuck: float = 30.0  # A client that takes nothing for so long is let go; it knows where it was.
    open: float = 900.0  # Then the client asks again, maybe of another process.


async def respond_to_head(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer HEAD: a stream's headers, and its end."""
    await _begin(send)
    await _end(send)


async def send_stream(
    receive: Receive,
    send: Send,
    first: bytes,
    following: Callable[[], Awaitable[bytes | None]],
    *,
    gone: Callable[[], None],
    pace: Pace,
    sending: Callable[[int], AbstractContextManager[None]] = lambda _length: nullcontext(),
) -> None:
    """Send a stream: ``first``, and then what ``following`` returns, until that is None or it has been open for long.

    ``gone`` is called when the client has gone, and ``sending`` counts the bytes of a message while it is being sent.
    Raises TimeoutError where the client takes nothing for long; the server cuts it off.
    """
    leaving = asyncio.create_task(_call_when_gone(receive, gone))
    try:
        await _begin(send)
        loop = asyncio.get_running_loop()
        until = loop.time() + pace.open
        message: bytes | None = first
        while message is not None:
            with sending(len(message)):
                async with asyncio.timeout(pace.stuck):
                    await send({"type": "http.response.body", "body": message, "more_body": True})
            message = await following() if loop.time() < until else None
        await _end(send)
    finally:
        leaving.cancel()


class EventStream:
    """The events of a follower, sent as they happen; only events of ``types``, where any are named."""

    def __init__(
        self,
        follow: Callable[[], AbstractContextManager[Follower]],
        *,
        types: frozenset[str] | None,
        pace: Pace,
        rate_limit: RateLimitState,
    ) -> None:
        self._follow = follow
        self._types = types
        self._pace = pace
        self._rate_limit = rate_limit

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Tell until the client has gone, the process stops, or it has been open for long."""
        with self._follow() as follower:
            first = f"retry: {RETRY_MS}\n{_position(follower)}".encode()
            following = partial(self._next, follower)
            try:
                await send_stream(
                    receive,
                    send,
                    first,
                    following,
                    gone=follower.end,
                    pace=self._pace,
                    sending=self._rate_limit.sending,
                )
            except TimeoutError:
                log.info("follower_let_go", position=follower.position)  # Not ended well: the server cuts it off.

    async def _next(self, follower: Follower) -> bytes | None:
        """Return what comes next; None where the stream ends."""
        try:
            message = await self._read(follower)
        except PaidonceError as error:
            log.warning("stream_ended", cause=error.code)  # The client reconnects.
            return None
        return None if follower.ended else message

    async def _read(self, follower: Follower) -> bytes:
        """Write down what comes next. Who is far behind reads in turn with all others who read much."""
        if follower.is_behind:
            async with self._rate_limit.reading():
                return b"" if follower.ended else self._shown(await follower.read(seconds=0), follower)
        return self._shown(await follower.read(seconds=self._pace.heartbeat), follower)

    def _shown(self, events: Iterable[Event], follower: Follower) -> bytes:
        shown = "".join(
            f"id: {event.sequence}\nevent: {event.type}\ndata: {encode(event_response(event)).decode()}\n\n"
            for event in events
            if self._types is None or event.type in self._types
        )
        return (shown or f": \n{_position(follower)}").encode()


def _position(follower: Follower) -> str:
    """Tell the client where it is, without an event: what it asks for next begins there."""
    return f"id: {follower.position}\n\n"


async def _begin(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})


async def _end(send: Send) -> None:
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _call_when_gone(receive: Receive, gone: Callable[[], None]) -> None:
    await until_disconnected(receive)
    gone()
