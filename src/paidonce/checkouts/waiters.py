"""Waiting for a checkout to leave PROCESSING, so that no client needs a polling loop."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from paidonce.checkouts.model import Checkout, CheckoutStatus

# What this process has in its hands it hears of from itself; only a webhook that another process took can be sooner.
OWNED_LOCALLY_POLLS: Final = 4


class _Waiter:
    """A client that waits; ``change`` ends with the checkout as it is now, or with None where it must be read."""

    __slots__ = ("change", "has_left")

    def __init__(self, change: asyncio.Future[Checkout | None]) -> None:
        self.change = change
        self.has_left = False

    def leave(self, _task: asyncio.Task[None]) -> None:
        self.has_left = True
        self.tell(None)

    def tell(self, checkout: Checkout | None) -> None:
        if not self.change.done():
            self.change.set_result(checkout)


class SettlementWaiters:
    """Clients that wait. In this process a change wakes them at once; one made by another is seen by looking again."""

    def __init__(self, *, poll_seconds: float) -> None:
        self._poll_seconds = poll_seconds
        self._waiting: defaultdict[str, set[_Waiter]] = defaultdict(set)
        self._closed = False

    def notify(self, checkout_id: str, checkout: Checkout | None = None) -> None:
        """Wake those who wait for this checkout, and hand it to them where it is known as it was just committed."""
        for waiter in self._waiting.get(checkout_id, ()):
            waiter.tell(checkout)

    def close(self) -> None:
        """Answer everybody now with what is true now: the process is about to stop."""
        self._closed = True
        for waiters in self._waiting.values():
            for waiter in waiters:
                waiter.tell(None)

    async def settled(
        self,
        checkout: Checkout,
        read: Callable[[], Awaitable[Checkout]],
        *,
        seconds: float,
        owned_locally: bool = False,
        gone: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> Checkout:
        """Return the checkout as soon as it is no longer PROCESSING, or as it is after ``seconds``.

        ``owned_locally`` says that the checkout went to PROCESSING in this turn of the event loop and that this process
        works on its attempt. Then there is no first read, and fewer polls. ``gone`` ends when the client has
        disconnected; after that nothing is read.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        poll_seconds = self._poll_seconds * OWNED_LOCALLY_POLLS if owned_locally else self._poll_seconds
        waiter = _Waiter(loop.create_future())
        self._waiting[checkout.id].add(waiter)
        leaving = None
        if gone is not None:
            leaving = loop.create_task(gone())
            leaving.add_done_callback(waiter.leave)
        known = checkout if owned_locally else None
        try:
            while True:
                if waiter.has_left:
                    return known or checkout
                if known is None:
                    waiter.change = loop.create_future()  # Before reading: a change that comes after it ends this one.
                    known = await read()
                remaining = deadline - loop.time()
                if known.status != CheckoutStatus.PROCESSING or remaining <= 0 or self._closed:
                    return known
                look = loop.call_later(min(poll_seconds, remaining), waiter.tell, None)
                try:
                    known = await waiter.change
                finally:
                    look.cancel()
        finally:
            if leaving is not None:
                leaving.cancel()
            self._waiting[checkout.id].discard(waiter)
            if not self._waiting[checkout.id]:
                del self._waiting[checkout.id]
