"""Long polling: clients wait until a checkout leaves PROCESSING, instead of polling for it."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from paidonce.checkouts.model import Checkout

# This process learns of its own attempts at once. Only a webhook to another process can settle one unseen, so polls
# are this many times rarer.
OWNED_LOCALLY_POLL_FACTOR: Final = 4


class _Waiter:
    """A waiting client. The result of ``change`` is the current checkout, or None where it must be read."""

    __slots__ = ("change", "is_disconnected")

    def __init__(self, change: asyncio.Future[Checkout | None]) -> None:
        self.change = change
        self.is_disconnected = False

    def disconnect(self, _task: asyncio.Task[None]) -> None:
        self.is_disconnected = True
        self.wake(None)

    def wake(self, checkout: Checkout | None) -> None:
        if not self.change.done():
            self.change.set_result(checkout)


class SettlementWaiters:
    """The waiting clients. A change in this process wakes them at once; one in another process is found by polling."""

    def __init__(self, *, poll_seconds: float) -> None:
        self._poll_seconds = poll_seconds
        self._waiting: defaultdict[str, set[_Waiter]] = defaultdict(set)
        self._closed = False

    def notify(self, checkout_id: str, checkout: Checkout | None = None) -> None:
        """Wake the clients that wait for this checkout. ``checkout`` is its committed state, where that is known."""
        for waiter in self._waiting.get(checkout_id, ()):
            waiter.wake(checkout)

    def close(self) -> None:
        """Wake all clients, because the process is about to stop. They are answered with the current state."""
        self._closed = True
        for waiters in self._waiting.values():
            for waiter in waiters:
                waiter.wake(None)

    async def settled(
        self,
        checkout: Checkout,
        read: Callable[[], Awaitable[Checkout]],
        *,
        seconds: float,
        until: Callable[[Checkout], bool] = lambda checkout: not checkout.awaits_provider,
        owned_locally: bool = False,
        gone: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> Checkout:
        """Return the checkout as soon as ``until`` is true of it, or as it is after ``seconds``.

        ``owned_locally`` says that the checkout went to PROCESSING in this turn of the event loop and that this process
        works on its attempt. Then there is no first read, and fewer polls. ``gone`` ends when the client has
        disconnected; after that nothing is read.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        poll_seconds = self._poll_seconds * OWNED_LOCALLY_POLL_FACTOR if owned_locally else self._poll_seconds
        waiter = _Waiter(loop.create_future())
        self._waiting[checkout.id].add(waiter)
        disconnecting = None
        if gone is not None:
            disconnecting = loop.create_task(gone())
            disconnecting.add_done_callback(waiter.disconnect)
        known = checkout if owned_locally else None
        try:
            while True:
                if waiter.is_disconnected:
                    return checkout
                if known is None:
                    waiter.change = loop.create_future()  # Created before the read, so that no later change is missed.
                    known = await read()
                remaining = deadline - loop.time()
                if until(known) or remaining <= 0 or self._closed:
                    return known
                poll = loop.call_later(min(poll_seconds, remaining), waiter.wake, None)
                try:
                    known = await waiter.change
                finally:
                    poll.cancel()
        finally:
            if disconnecting is not None:
                disconnecting.cancel()
            self._waiting[checkout.id].discard(waiter)
            if not self._waiting[checkout.id]:
                del self._waiting[checkout.id]
