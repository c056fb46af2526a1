"""Server-Sent Events for a page that waits: one is sent when its checkout has changed, and the page is loaded again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

from starlette.types import Receive, Scope, Send

from paidonce.checkouts.model import Checkout
from paidonce.checkouts.waiters import SettlementWaiters
from paidonce.concurrency import ConcurrencyPerName
from paidonce.errors import Overloaded
from paidonce.events.streaming import RETRY_MS, Pace, send_stream
from paidonce.http.context import RequestContext
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
        self._has_told = False

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Wait until the checkout has changed, the client has gone, the process stops, or it took long."""
        gone = asyncio.Event()
        first = f"retry: {RETRY_MS}\n\n".encode()
        with suppress(TimeoutError):  # The server cuts off who takes nothing.
            await send_stream(receive, send, first, partial(self._next, gone), gone=gone.set, pace=self._pace)

    async def _next(self, gone: asyncio.Event) -> bytes | None:
        """Return what comes next: that the checkout has changed, or nothing new; None where the stream ends."""
        if self._has_told or gone.is_set():
            return None
        loop = asyncio.get_running_loop()
        began = loop.time()
        checkout = await self._waiters.settled(
            self._checkout, self._load, seconds=self._pace.heartbeat, until=self._is_changed, gone=partial(_until, gone)
        )
        if self._is_changed(checkout):
            self._has_told = True
            return b"event: changed\ndata:\n\n"
        # Where it was too short, the process is about to stop: the browser asks again.
        return None if loop.time() - began < self._pace.heartbeat else b":\n\n"


async def _until(gone: asyncio.Event) -> None:
    await gone.wait()
