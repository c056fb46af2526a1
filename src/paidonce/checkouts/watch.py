"""Waiting for a checkout to leave PROCESSING, so that no client needs a polling loop."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

from paidonce.checkouts.model import Checkout, CheckoutStatus


class Watch:
    """Clients that wait. In this process a change wakes them at once; one made by another is seen by looking again."""

    def __init__(self, *, poll_seconds: float) -> None:
        self._poll_seconds = poll_seconds
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._closed = False

    def notify(self, checkout_id: str) -> None:
        """Wake those who wait for this checkout."""
        for event in self._waiting.get(checkout_id, ()):
            event.set()

    def close(self) -> None:
        """Answer everybody now with what is true now: the process is about to stop."""
        self._closed = True
        for events in self._waiting.values():
            for event in events:
                event.set()

    async def settled(self, checkout: Checkout, read: Callable[[], Awaitable[Checkout]], *, seconds: float) -> Checkout:
        """Return the checkout as soon as it is not PROCESSING, else as it is after ``seconds``."""
        event = asyncio.Event()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        self._waiting[checkout.id].add(event)
        try:
            while True:
                event.clear()  # Before reading: a change that comes after it sets the event again.
                checkout = await read()
                remaining = deadline - loop.time()
                if checkout.status != CheckoutStatus.PROCESSING or remaining <= 0 or self._closed:
                    return checkout
                try:
                    await asyncio.wait_for(event.wait(), min(self._poll_seconds, remaining))
                except TimeoutError:
                    continue
        finally:
            self._waiting[checkout.id].discard(event)
            if not self._waiting[checkout.id]:
                del self._waiting[checkout.id]
