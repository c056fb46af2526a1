"""A call to the simulated provider: its latency, its faults, and the webhook that tells of it.

It is the same for charges, changes and sessions, in this process (provider.py) and over HTTP (server.py).
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from enum import Enum
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from paidonce.database.batcher import Batcher
from paidonce.providers.simulator.behaviour import ACCEPTED_MS, Behaviour
from paidonce.providers.simulator.books import count_calls
from paidonce.providers.simulator.faults import (
    BEFORE,
    HIDDEN_MS,
    LATE_MS_MAX,
    SLOW_MS_MAX,
    Draw,
    Fault,
    FaultPlan,
    WebhookDraw,
    WebhookFault,
)
from paidonce.providers.simulator.wire import Announced

KEY_LIFETIME_SECONDS: Final = 365 * 86_400

T = TypeVar("T")


class LostResponse(Enum):
    """A lost response."""

    SILENCE = "no answer comes"
    ERROR = "the provider answered 500"
    DROPPED = "the connection broke"
    STORED_ERROR = "the provider answered 500, as it has stored for this key"


SendWebhook: TypeAlias = Callable[[Announced, WebhookDraw], Awaitable[None]]
"""Sends the webhook for an operation, or for what was done in the dashboard. Returns when one with FIRST is delivered,
and at once for the others.
"""

REPLIES: Final = {
    Fault.TIMEOUT_BEFORE: LostResponse.SILENCE,
    Fault.TIMEOUT_AFTER: LostResponse.SILENCE,
    Fault.BOOKED_LATE: LostResponse.SILENCE,
    Fault.ERROR_BEFORE: LostResponse.ERROR,
    Fault.ERROR_AFTER: LostResponse.ERROR,
    Fault.HIDDEN: LostResponse.ERROR,
    Fault.DROPPED_BEFORE: LostResponse.DROPPED,
    Fault.DROPPED_AFTER: LostResponse.DROPPED,
}


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of the provider. ``latency_ms`` is the total duration of a call. Look-ups find a charge
    after ``lookup_delay_ms``.
    """

    latency_ms: int = 0
    deduplicates: bool = True
    key_lifetime_seconds: int = KEY_LIFETIME_SECONDS
    lookup_delay_ms: int = 0
    faults: FaultPlan = FaultPlan()

    @property
    def key_lifetime_ms(self) -> int:
        """How long a repeated key gets the first result; 0 where the provider does not deduplicate."""
        return self.key_lifetime_seconds * 1000 if self.deduplicates else 0


async def send_nothing(_announced: Announced, _draw: WebhookDraw) -> None:
    """Send no webhook: for a simulator in the process of the service."""


Announce: TypeAlias = Callable[[T], Announced | None]
"""Returns what the webhook for a booked result tells; None where none is sent."""


class Calls:
    """Carries calls out. ``books`` commits what a call books before it is answered; ``counts`` counts the faults."""

    def __init__(self, books: Batcher, rules: Rules, *, send_webhook: SendWebhook) -> None:
        self._books = books
        self._rules = rules
        self._send_webhook = send_webhook
        self._late: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()

    async def call(
        self, key: str, behaviour: Behaviour, book: Callable[[int], Awaitable[T]], announce: Announce[T]
    ) -> T | LostResponse:
        """Book in the middle of the latency, so that a crash of the caller can happen before and after it.

        The latency is the total duration, so it includes the time that booking takes.
        """
        latency_ms = self._rules.latency_ms if behaviour.latency_ms is None else behaviour.latency_ms
        loop = asyncio.get_running_loop()
        called_at = loop.time()
        await asyncio.sleep(latency_ms / 2000)
        draw = await self._draw_for_call(key, behaviour.fault)
        chosen = behaviour.webhook_fault
        webhook = self._rules.faults.for_webhook(key) if chosen is None else WebhookDraw(chosen)
        if draw.fault in BEFORE:
            return REPLIES[draw.fault]
        if draw.fault is Fault.BOOKED_LATE:
            self._start(self._book_late(book, announce, draw.extent, webhook))
            return REPLIES[draw.fault]
        booked = await book(HIDDEN_MS if draw.fault is Fault.HIDDEN else 0)
        if webhook.webhook_fault is WebhookFault.FIRST:
            await self._announce_booked(announce, booked, webhook)
        slow_ms = draw.extent * SLOW_MS_MAX if draw.fault is Fault.SLOW else 0
        await asyncio.sleep(max(0.0, called_at + (latency_ms + slow_ms) / 1000 - loop.time()))
        if webhook.webhook_fault is not WebhookFault.FIRST:
            await self._announce_booked(announce, booked, webhook)
        return REPLIES.get(draw.fault, booked)

    async def announce(self, operation: Announced | None, webhook: WebhookDraw) -> None:
        """Send the webhook for an operation: when its outcome is known, where it was accepted first."""
        if operation is None or self._send_webhook is send_nothing:
            return
        if webhook.webhook_fault is not WebhookFault.ONCE:
            self.counts[f"webhook_{webhook.webhook_fault.name.lower()}"] += 1
        if webhook.webhook_fault is not WebhookFault.NEVER:
            await self._send_webhook(operation, webhook)

    def announce_later(self, find: Callable[[], Awaitable[Announced | None]]) -> None:
        """Send the webhook for an operation whose outcome is known later, or changes."""
        self._start(self._announce_later(find))

    async def draw_for_lookup(self, key: str) -> Draw:
        """Choose the fault of a look-up."""
        if not self._rules.faults.rate:
            return Draw(Fault.NONE)
        number = await self._books.submit(count_calls, ("look_up", key))
        return self._counted(self._rules.faults.for_lookup(key, number), "look_up_")

    async def close(self) -> None:
        """Cancel late bookings."""
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def _announce_later(self, find: Callable[[], Awaitable[Announced | None]]) -> None:
        await asyncio.sleep(ACCEPTED_MS / 1000)
        await self.announce(await find(), WebhookDraw(WebhookFault.ONCE))

    async def _book_late(
        self, book: Callable[[int], Awaitable[T]], announce: Announce[T], extent: float, webhook: WebhookDraw
    ) -> None:
        await asyncio.sleep(extent * LATE_MS_MAX / 1000)
        await self._announce_booked(announce, await book(0), webhook)

    async def _announce_booked(self, announce: Announce[T], booked: T, webhook: WebhookDraw) -> None:
        if self._send_webhook is not send_nothing:
            await self.announce(announce(booked), webhook)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _draw_for_call(self, key: str, chosen: Fault) -> Draw:
        """Choose the fault of this call: that of the payment method for the first call of a key, or the plan's."""
        if chosen is Fault.NONE and not self._rules.faults.rate:
            return Draw(Fault.NONE)  # The number of the call does not matter.
        number = await self._books.submit(count_calls, ("call", key))
        draw = (
            self._rules.faults.for_call(key, number)
            if chosen is Fault.NONE
            else Draw(chosen if number == 1 else Fault.NONE)
        )
        return self._counted(draw)

    def _counted(self, draw: Draw, prefix: str = "") -> Draw:
        if draw.fault is not Fault.NONE:
            self.counts[prefix + draw.fault.name.lower()] += 1
        return draw
