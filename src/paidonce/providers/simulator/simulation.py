"""What a call to the simulated provider does: its latency, its faults, and what is booked.

It is the same in this process (provider.py) and over HTTP (server.py); each of them loses responses in its own way.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Final, TypeAlias

import msgspec

from paidonce.database.batcher import Batcher
from paidonce.providers.simulator.behaviour import Behaviour, behaviour_of
from paidonce.providers.simulator.books import (
    BookChange,
    BookCharge,
    Booked,
    ChargePage,
    book_changes,
    book_charges,
    book_late_success,
    count_calls,
    find_operations,
    list_charges,
)
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
from paidonce.providers.simulator.wire import ChangeBody, ChargeBody, ChargeLine, Operation, line_of, operation_of

KEY_LIFETIME_SECONDS: Final = 365 * 86_400


class LostResponse(Enum):
    """A lost response."""

    SILENCE = "no answer comes"
    ERROR = "the provider answered 500"
    DROPPED = "the connection broke"


Reply: TypeAlias = Operation | LostResponse

SendWebhook: TypeAlias = Callable[[Operation, WebhookDraw], Awaitable[None]]
"""Sends the webhook for an operation. Returns when one with FIRST is delivered, and at once for the others."""

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


async def send_nothing(_operation: Operation, _draw: WebhookDraw) -> None:
    """Send no webhook: for a simulator in the process of the service."""


class Simulation:
    """The provider. ``books`` commits each operation before it is answered. ``counts`` counts the faults."""

    def __init__(self, books: Batcher, rules: Rules, *, send_webhook: SendWebhook = send_nothing) -> None:
        self._books = books
        self._rules = rules
        self._send_webhook = send_webhook
        self._late: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()

    async def charge(self, body: ChargeBody) -> Reply:
        """Charge, or authorize."""
        behaviour = behaviour_of(body.payment_method, body.amount)

        async def book(hidden_ms: int) -> Booked:
            return await self._books.submit(book_charges, self._new_charge(body, behaviour, hidden_ms))

        return await self._call(body.key, behaviour, book)

    async def change(self, kind: str, charge_reference: str, body: ChangeBody) -> Reply:
        """CAPTURE, VOID or REFUND a charge."""

        async def book(_hidden_ms: int) -> Booked:
            return await self._books.submit(
                book_changes,
                BookChange(
                    key=body.key,
                    charge_reference=charge_reference,
                    kind=kind,
                    amount=body.amount,
                    key_lifetime_ms=self._rules.key_lifetime_ms,
                ),
            )

        return await self._call(body.key, Behaviour(), book)

    async def look_up(self, key: str) -> Reply | None:
        """Look up a key in the books; None where it is not found, or not visible yet."""
        draw = await self._draw_for_lookup(key)
        if draw.fault in BEFORE:
            return REPLIES[draw.fault]
        if draw.fault is Fault.SLOW:
            await asyncio.sleep(draw.extent * SLOW_MS_MAX / 1000)
        found = await self._books.submit(find_operations, key)
        return None if found is None or draw.fault is Fault.HIDDEN else operation_of(found)

    async def succeed_late(self, charge_reference: str) -> Operation | None:
        """Let a declined charge succeed after all, and send its webhook; None where there is no such charge."""
        found = await self._books.submit(book_late_success, charge_reference)
        if found is None:
            return None
        operation = operation_of(found)
        await self._send_webhook(operation, WebhookDraw(WebhookFault.ONCE))
        return operation

    async def charges(self, page: ChargePage) -> list[ChargeLine]:
        """List charges."""
        return [line_of(one) for one in await self._books.submit(list_charges, page)]

    async def close(self) -> None:
        """Cancel late bookings."""
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    def _new_charge(self, body: ChargeBody, behaviour: Behaviour, hidden_ms: int) -> BookCharge:
        return BookCharge(
            key=body.key,
            checkout_id=body.checkout_id,
            merchant_id=body.merchant_id,
            amount=body.amount + behaviour.amount_off,
            currency=body.currency,
            payment_method=body.payment_method,
            status="declined" if behaviour.decline_code else "succeeded" if body.capture else "authorized",
            decline_code=behaviour.decline_code,
            hidden_ms=max(hidden_ms, self._rules.lookup_delay_ms),
            key_lifetime_ms=self._rules.key_lifetime_ms,
        )

    async def _call(self, key: str, behaviour: Behaviour, book: Callable[[int], Awaitable[Booked]]) -> Reply:
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
            task = asyncio.create_task(self._book_late(book, draw.extent, webhook))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
            return REPLIES[draw.fault]
        booked = await book(HIDDEN_MS if draw.fault is Fault.HIDDEN else 0)
        if webhook.webhook_fault is WebhookFault.FIRST:
            await self._announce(booked, webhook)
        slow_ms = draw.extent * SLOW_MS_MAX if draw.fault is Fault.SLOW else 0
        await asyncio.sleep(max(0.0, called_at + (latency_ms + slow_ms) / 1000 - loop.time()))
        if webhook.webhook_fault is not WebhookFault.FIRST:
            await self._announce(booked, webhook)
        return REPLIES.get(draw.fault, operation_of(booked.operation))

    async def _book_late(self, book: Callable[[int], Awaitable[Booked]], extent: float, webhook: WebhookDraw) -> None:
        await asyncio.sleep(extent * LATE_MS_MAX / 1000)
        await self._announce(await book(0), webhook)

    async def _announce(self, booked: Booked, webhook: WebhookDraw) -> None:
        if not booked.first or self._send_webhook is send_nothing:
            return
        if webhook.webhook_fault is not WebhookFault.ONCE:
            self.counts[f"webhook_{webhook.webhook_fault.name.lower()}"] += 1
        if webhook.webhook_fault is not WebhookFault.NEVER:
            await self._send_webhook(operation_of(booked.operation), webhook)

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

    async def _draw_for_lookup(self, key: str) -> Draw:
        if not self._rules.faults.rate:
            return Draw(Fault.NONE)
        number = await self._books.submit(count_calls, ("look_up", key))
        return self._counted(self._rules.faults.for_lookup(key, number), "look_up_")

    def _counted(self, draw: Draw, prefix: str = "") -> Draw:
        if draw.fault is not Fault.NONE:
            self.counts[prefix + draw.fault.name.lower()] += 1
        return draw
