"""Server-Sent Events for a page that waits: one is sent when its checkout has changed, and the page is loaded again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from starlette.types import Receive, Scope, Send

from paidonce.checkouts.model import Checkout
from paidonce.checkouts.waiters import SettlementWaiters
from paidonce.concurrency import ConcurrencyPerName
from paidonce.errors import Overloaded
from paidonce.events.streaming import HEADERS, RETRY_MS, Pace
from paidonce.http.context import RequestContext
from paidonce.http.disconnects import until_disconnected
from paidonce.http.rate_limits import count_page_stream

STREAMS_MAX: Final = 1000  # In one process: each reads its checkout twice a second.
ALL: Final = "all"
PACE: Final = Pace(open=300.0)  # Then the page asks again.


class BuyerStreams:
    """The streams that are open in this process, of which there are at most STREAMS_MAX."""

    def __init__(self, limit: int = STREAMS_MAX) -> None:
        self._open = ConcurrencyPerName(limit)

    @contextmanager
    def counted(self, context: RequestContext) -> Iterator[None]:
        """Count a stream while it is open; raises Overloaded, or RateLimited where its address has too many."""
        if not self._open.enter(ALL):
            raise Overloaded
        try:
            count_page_stream(context)
            yield
        finally:
            self._open.leave(ALL)


class ChangeStream:
    """Sends one event when ``is_changed`` is true of a checkout, and ends."""

    def __init__(
        self,
        checkout: Checkout,
        load: Callable[[], Awaitable[Checkout]],
        waiters: SettlementWaiters,
        is_changed: Callable[[Checkout], bool],
        *,
        pace: Pace,
    ) -> None:
        self._checkout = checkout
        self._load = load
        self._waiters = waiters
        self._is_changed = is_changed
        self._pace = pace

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Wait until the checkout has changed, the client has gone, the process stops, or it took long."""
        gone = asyncio.Event()
        leaving = asyncio.create_task(_note(receive, gone))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
            await self._tell(partial(self._send, send), gone)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            return  # The server cuts off who takes nothing.
        finally:
            leaving.cancel()

    async def _tell(self, send: Callable[[bytes], Awaitable[None]], gone: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._pace.open
        await send(f"retry: {RETRY_MS}\n\n".encode())
        while (began := loop.time()) < until and not gone.is_set():
            checkout = await self._waiters.settled(
                self._checkout,
                self._load,
                seconds=self._pace.heartbeat,
                until=self._is_changed,
                gone=partial(_until, gone),
            )
            if self._is_changed(checkout):
                await send(b"event: changed\ndata:\n\n")
                return
            if loop.time() - began < self._pace.heartbeat:
                return  # The process is about to stop: the browser asks again.
            await send(b":\n\n")

    async def _send(self, send: Send, message: bytes) -> None:
        async with asyncio.timeout(self._pace.stuck):
            await send({"type": "http.response.body", "body": message, "more_body": True})


async def _note(receive: Receive, gone: asyncio.Event) -> None:
    await until_disconnected(receive)
    gone.set()


async def _until(gone: asyncio.Event) -> None:
    await gone.wait()
