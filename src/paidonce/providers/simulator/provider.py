"""The simulator in this process: a provider that needs no network, with books that survive the process."""

import asyncio
from typing import Final

from paidonce.database.batcher import Batcher
from paidonce.providers.base import (
    Capabilities,
    ChargeRequest,
    Declined,
    Evidence,
    NotFound,
    Succeeded,
    Unknown,
)
from paidonce.providers.simulator.behaviour import Fault, behaviour_of
from paidonce.providers.simulator.books import (
    BookCharge,
    Charge,
    book_charges,
    find_charges,
    refuse_first_calls,
)

NAME: Final = "simulator"
HIDDEN_MS: Final = 3000  # How long look-ups know nothing of a charge with tok_unknown_then_success.
KEY_LIFETIME_SECONDS: Final = 365 * 86_400


class Simulator:
    """A Provider. ``books`` commits each charge before it is answered; ``latency_ms`` is from call to answer."""

    name: Final = NAME
    capabilities: Final = Capabilities(
        deduplicates_by_key=True,
        key_lifetime_seconds=KEY_LIFETIME_SECONDS,
        can_be_asked_by_key=True,
        manual_capture=True,
    )

    def __init__(self, books: Batcher, *, latency_ms: int) -> None:
        self._books = books
        self._latency_ms = latency_ms

    async def charge(self, request: ChargeRequest) -> Succeeded | Declined | Unknown:
        """Book a charge half-way through the latency, so that a crash can fall before and after it."""
        behaviour = behaviour_of(request.payment_method, request.money.amount)
        latency_ms = self._latency_ms if behaviour.latency_ms is None else behaviour.latency_ms
        await asyncio.sleep(latency_ms / 2000)
        if behaviour.fault is Fault.ERROR_BEFORE and await self._books.submit(refuse_first_calls, request.key):
            return Unknown("the provider answered 500")
        booked = await self._books.submit(
            book_charges,
            BookCharge(
                key=request.key,
                checkout_id=request.checkout_id,
                merchant_id=request.merchant_id,
                amount=request.money.amount,
                currency=request.money.currency,
                status="declined" if behaviour.decline_code else "succeeded" if request.capture else "authorized",
                decline_code=behaviour.decline_code,
                hidden_ms=HIDDEN_MS if behaviour.fault is Fault.HIDDEN else 0,
            ),
        )
        await asyncio.sleep(latency_ms / 2000)
        if booked.first and behaviour.fault is Fault.TIMEOUT:
            await asyncio.Event().wait()  # Nobody sets it: only the caller's time-out ends this.
        if booked.first and behaviour.fault in (Fault.ERROR_AFTER, Fault.HIDDEN):
            return Unknown("the provider answered 500")
        return _evidence(booked.charge)

    async def look_up(self, key: str) -> Evidence:
        """Tell what the books say of a key."""
        found = await self._books.submit(find_charges, key)
        return NotFound() if found is None else _evidence(found)


def _evidence(charge: Charge) -> Succeeded | Declined:
    if charge.decline_code is not None:
        return Declined(charge.decline_code, charge.reference)
    return Succeeded(charge.reference)
