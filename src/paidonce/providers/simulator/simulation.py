"""What a call to the simulated provider does, however it is made: how long it takes, what goes wrong, what is booked.

In this process (provider.py) and over HTTP (server.py) it is the same; each says in its own words what got lost.
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
    count_calls,
    find_operations,
    let_succeed,
    list_charges,
)
from paidonce.providers.simulator.faults import (
    BEFORE,
    HIDDEN_MS,
    LATE_MS_MAX,
    SLOW_MS_MAX,
    Draw,
    Fate,
    Fault,
    FaultPlan,
    WebhookDraw,
)
from paidonce.providers.simulator.wire import ChangeBody, ChargeBody, ChargeLine, Operation, line_of, operation_of

KEY_LIFETIME_SECONDS: Final = 365 * 86_400


class Lost(Enum):
    """An answer that tells nothing."""

    SILENCE = "no answer comes"
    ERROR = "the provider answered 500"
    DROPPED = "the connection broke"


Reply: TypeAlias = Operation | Lost

Tell: TypeAlias = Callable[[Operation, WebhookDraw], Awaitable[None]]
"""Sends the webhook that tells of an operation; returns when one that must come FIRST is delivered, else at once."""

REPLIES: Final = {
    Fault.TIMEOUT_BEFORE: Lost.SILENCE,
    Fault.TIMEOUT_AFTER: Lost.SILENCE,
    Fault.BOOKED_LATE: Lost.SILENCE,
    Fault.ERROR_BEFORE: Lost.ERROR,
    Fault.ERROR_AFTER: Lost.ERROR,
    Fault.HIDDEN: Lost.ERROR,
    Fault.DROPPED_BEFORE: Lost.DROPPED,
    Fault.DROPPED_AFTER: Lost.DROPPED,
}


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How the provider is. ``latency_ms`` is from call to answer; look-ups know of a charge after the delay only."""

    latency_ms: int = 0
    deduplicates: bool = True
    key_lifetime_seconds: int = KEY_LIFETIME_SECONDS
    lookup_delay_ms: int = 0
    faults: FaultPlan = FaultPlan()

    @property
    def key_lifetime_ms(self) -> int:
        """How long a key is answered as the first time: not at all where the provider does not deduplicate."""
        return self.key_lifetime_seconds * 1000 if self.deduplicates else 0


async def send_nothing(_operation: Operation, _draw: WebhookDraw) -> None:
    """Send nothing: for a simulator in the same process, to which nobody listens."""


class Simulation:
    """The provider itself. ``books`` commits each operation before it is answered; ``counts`` says what went wrong."""

    def __init__(self, books: Batcher, rules: Rules, *, tell: Tell = send_nothing) -> None:
        self._books = books
        self._rules = rules
        self._tell = tell
        self._late: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()

    async def charge(self, wish: ChargeBody) -> Reply:
        """Charge, or hold the money."""
        behaviour = behaviour_of(wish.payment_method, wish.amount)

        async def book(hidden_ms: int) -> Booked:
            return await self._books.submit(book_charges, self._new_charge(wish, behaviour, hidden_ms))

        return await self._call(wish.key, behaviour, book)

    async def change(self, kind: str, charge_reference: str, wish: ChangeBody) -> Reply:
        """CAPTURE, VOID or REFUND a charge."""

        async def book(_hidden_ms: int) -> Booked:
            return await self._books.submit(
                book_changes,
                BookChange(
                    key=wish.key,
                    charge_reference=charge_reference,
                    kind=kind,
                    amount=wish.amount,
                    key_lifetime_ms=self._rules.key_lifetime_ms,
                ),
            )

        return await self._call(wish.key, Behaviour(), book)

    async def look_up(self, key: str) -> Reply | None:
        """Tell what the books say of a key; None where they say nothing, or nothing yet."""
        draw = await self._draw_of_look_up(key)
        if draw.fault in BEFORE:
            return REPLIES[draw.fault]
        if draw.fault is Fault.SLOW:
            await asyncio.sleep(draw.extent * SLOW_MS_MAX / 1000)
        found = await self._books.submit(find_operations, key)
        return None if found is None or draw.fault is Fault.HIDDEN else operation_of(found)

    async def succeed_late(self, charge_reference: str) -> Operation | None:
        """Let a declined charge succeed after all, and tell of it; None where there is no such declined charge."""
        found = await self._books.submit(let_succeed, charge_reference)
        if found is None:
            return None
        operation = operation_of(found)
        await self._tell(operation, WebhookDraw(Fate.ONCE))
        return operation

    async def charges(self, page: ChargePage) -> list[ChargeLine]:
        """Show the books' charges."""
        return [line_of(one) for one in await self._books.submit(list_charges, page)]

    async def close(self) -> None:
        """Book nothing late any more."""
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    def _new_charge(self, wish: ChargeBody, behaviour: Behaviour, hidden_ms: int) -> BookCharge:
        return BookCharge(
            key=wish.key,
            checkout_id=wish.checkout_id,
            merchant_id=wish.merchant_id,
            amount=wish.amount + behaviour.amount_off,
            currency=wish.currency,
            payment_method=wish.payment_method,
            status="declined" if behaviour.decline_code else "succeeded" if wish.capture else "authorized",
            decline_code=behaviour.decline_code,
            hidden_ms=max(hidden_ms, self._rules.lookup_delay_ms),
            key_lifetime_ms=self._rules.key_lifetime_ms,
        )

    async def _call(self, key: str, behaviour: Behaviour, book: Callable[[int], Awaitable[Booked]]) -> Reply:
        """Book half-way through the latency, so that a crash of the caller can fall before and after it.

        The latency is from call to answer, so that what the books take is in it, and not on top of it.
        """
        latency_ms = self._rules.latency_ms if behaviour.latency_ms is None else behaviour.latency_ms
        loop = asyncio.get_running_loop()
        called_at = loop.time()
        await asyncio.sleep(latency_ms / 2000)
        draw = await self._draw_of_call(key, behaviour.fault)
        said = behaviour.fate
        webhook = self._rules.faults.of_webhook(key) if said is None else WebhookDraw(said)
        if draw.fault in BEFORE:
            return REPLIES[draw.fault]
        if draw.fault is Fault.BOOKED_LATE:
            task = asyncio.create_task(self._book_late(book, draw.extent, webhook))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
            return REPLIES[draw.fault]
        booked = await book(HIDDEN_MS if draw.fault is Fault.HIDDEN else 0)
        if webhook.fate is Fate.FIRST:
            await self._tell_of(booked, webhook)
        slow_ms = draw.extent * SLOW_MS_MAX if draw.fault is Fault.SLOW else 0
        await asyncio.sleep(max(0.0, called_at + (latency_ms + slow_ms) / 1000 - loop.time()))
        if webhook.fate is not Fate.FIRST:
            await self._tell_of(booked, webhook)
        return REPLIES.get(draw.fault, operation_of(booked.operation))

    async def _book_late(self, book: Callable[[int], Awaitable[Booked]], extent: float, webhook: WebhookDraw) -> None:
        await asyncio.sleep(extent * LATE_MS_MAX / 1000)
        await self._tell_of(await book(0), webhook)

    async def _tell_of(self, booked: Booked, webhook: WebhookDraw) -> None:
        if not booked.first or self._tell is send_nothing:
            return
        if webhook.fate is not Fate.ONCE:
            self.counts[f"webhook_{webhook.fate.name.lower()}"] += 1
        if webhook.fate is not Fate.NEVER:
            await self._tell(operation_of(booked.operation), webhook)

    async def _draw_of_call(self, key: str, said: Fault) -> Draw:
        """Tell what goes wrong with this call: what the payment method says of a key's first one, or the plan."""
        if said is Fault.NONE and not self._rules.faults.rate:
            return Draw(Fault.NONE)  # Nothing to count for.
        number = await self._books.submit(count_calls, ("call", key))
        draw = (
            self._rules.faults.of_call(key, number) if said is Fault.NONE else Draw(said if number == 1 else Fault.NONE)
        )
        return self._counted(draw)

    async def _draw_of_look_up(self, key: str) -> Draw:
        if not self._rules.faults.rate:
            return Draw(Fault.NONE)
        number = await self._books.submit(count_calls, ("look_up", key))
        return self._counted(self._rules.faults.of_look_up(key, number), "look_up_")

    def _counted(self, draw: Draw, prefix: str = "") -> Draw:
        if draw.fault is not Fault.NONE:
            self.counts[prefix + draw.fault.name.lower()] += 1
        return draw
