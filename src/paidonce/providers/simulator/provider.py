"""The simulator in this process: a provider that needs no network, with books that survive the process."""

import asyncio
from collections.abc import Mapping
from typing import Final

from paidonce.database.batcher import Batcher
from paidonce.providers.base import (
    Authorized,
    Capabilities,
    ChargeRequest,
    Declined,
    Evidence,
    Modification,
    NotFound,
    Notice,
    Succeeded,
    Unknown,
)
from paidonce.providers.simulator.behaviour import Fault, behaviour_of
from paidonce.providers.simulator.books import (
    BookChange,
    BookCharge,
    Change,
    Charge,
    book_changes,
    book_charges,
    find_operations,
    refuse_first_calls,
)

NAME: Final = "simulator"
KEY_LIFETIME_SECONDS: Final = 365 * 86_400


class Simulator:
    """A Provider. ``books`` commits each operation before it is answered; ``latency_ms`` is from call to answer."""

    name: Final = NAME
    capabilities: Final = Capabilities(
        deduplicates_by_key=True,
        key_lifetime_seconds=KEY_LIFETIME_SECONDS,
        can_be_asked_by_key=True,
        manual_capture=True,
        partial_refund=True,
        webhooks=False,
    )

    def __init__(self, books: Batcher, *, latency_ms: int) -> None:
        self._books = books
        self._latency_ms = latency_ms

    async def charge(self, request: ChargeRequest) -> Evidence:
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
                payment_method=request.payment_method,
                status="declined" if behaviour.decline_code else "succeeded" if request.capture else "authorized",
                decline_code=behaviour.decline_code,
                hidden_ms=behaviour.hidden_ms,
            ),
        )
        await asyncio.sleep(latency_ms / 2000)
        if booked.first and behaviour.fault is Fault.TIMEOUT:
            await asyncio.Event().wait()  # Nobody sets it: only the caller's time-out ends this.
        if booked.first and behaviour.fault in (Fault.ERROR_AFTER, Fault.HIDDEN):
            return Unknown("the provider answered 500")
        return evidence_of(booked.charge)

    async def capture(self, request: Modification) -> Evidence:
        """Take an authorized amount, or a part of it."""
        return await self._change("CAPTURE", request)

    async def void(self, request: Modification) -> Evidence:
        """Let go of an authorized amount."""
        return await self._change("VOID", request)

    async def refund(self, request: Modification) -> Evidence:
        """Give back what was charged, or a part of it."""
        return await self._change("REFUND", request)

    async def _change(self, kind: str, request: Modification) -> Evidence:
        await asyncio.sleep(self._latency_ms / 2000)
        wish = BookChange(
            key=request.key, charge_reference=request.charge_reference, kind=kind, amount=request.money.amount
        )
        booked = await self._books.submit(book_changes, wish)
        await asyncio.sleep(self._latency_ms / 2000)
        return evidence_of(booked)

    async def look_up(self, key: str) -> Evidence:
        """Tell what the books say of a key."""
        found = await self._books.submit(find_operations, key)
        return NotFound() if found is None else evidence_of(found)

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Notice | None:  # noqa: ARG002 - the protocol's
        """Read nothing: in this process there is nobody who would send one."""
        return None


def evidence_of(booked: Charge | Change) -> Evidence:
    """Tell what a booking proves of the operation that it answers."""
    if booked.decline_code is not None:
        return Declined(booked.decline_code, booked.reference)
    if isinstance(booked, Charge) and booked.booked_as == "authorized":
        return Authorized(booked.reference)
    return Succeeded(booked.reference)
