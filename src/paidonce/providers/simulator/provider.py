"""The simulator in this process: a Provider without a network, whose books outlive the process."""

import asyncio
from collections.abc import Mapping
from typing import Final

from paidonce.clock import Clock, system_clock
from paidonce.database.batcher import Batcher
from paidonce.errors import DatabaseUnavailable, Overloaded
from paidonce.providers.base import (
    Capabilities,
    ChargeRequest,
    Evidence,
    Modification,
    NotFound,
    Notice,
    Unknown,
)
from paidonce.providers.simulator.notices import NoticeReader
from paidonce.providers.simulator.simulation import KEY_LIFETIME_SECONDS, LostResponse, Reply, Rules, Simulation
from paidonce.providers.simulator.wire import ChangeBody, ChargeBody, evidence_of

NAME: Final = "simulator"


class Simulator:
    """A Provider. ``books`` commits each operation before it is answered. ``latency_ms`` is the total duration of a
    call.
    """

    name: Final = NAME
    capabilities: Final = Capabilities(
        deduplicates_by_key=True,
        key_lifetime_seconds=KEY_LIFETIME_SECONDS,
        can_be_asked_by_key=True,
        manual_capture=True,
        partial_refund=True,
        webhooks=False,  # Nothing in this process sends webhooks. A signed one is accepted all the same.
    )

    def __init__(
        self, books: Batcher, *, latency_ms: int, webhook_secret: str = "", clock: Clock = system_clock
    ) -> None:
        self._simulation = Simulation(books, Rules(latency_ms=latency_ms))
        self._notices = NoticeReader(webhook_secret, clock=clock)

    async def charge(self, request: ChargeRequest) -> Evidence:
        """Charge or authorize."""
        body = ChargeBody(
            key=request.key,
            amount=request.money.amount,
            currency=request.money.currency,
            payment_method=request.payment_method,
            capture=request.capture,
            checkout_id=request.checkout_id,
            merchant_id=request.merchant_id,
        )
        try:
            return await _evidence_from(await self._simulation.charge(body))
        except (DatabaseUnavailable, Overloaded):
            return BOOKS_UNAVAILABLE

    async def capture(self, request: Modification) -> Evidence:
        """Capture an authorized amount, or a part of it."""
        return await self._change("CAPTURE", request)

    async def void(self, request: Modification) -> Evidence:
        """Release an authorized amount."""
        return await self._change("VOID", request)

    async def refund(self, request: Modification) -> Evidence:
        """Refund a charge, or a part of it."""
        return await self._change("REFUND", request)

    async def _change(self, kind: str, request: Modification) -> Evidence:
        body = ChangeBody(key=request.key, amount=request.money.amount)
        try:
            return await _evidence_from(await self._simulation.change(kind, request.charge_reference, body))
        except (DatabaseUnavailable, Overloaded):
            return BOOKS_UNAVAILABLE

    async def look_up(self, key: str) -> Evidence:
        """Look up a key in the books."""
        try:
            found = await self._simulation.look_up(key)
        except (DatabaseUnavailable, Overloaded):
            return BOOKS_UNAVAILABLE
        return NotFound() if found is None else await _evidence_from(found)

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        """Check the signature and read the webhook; None where the signature is not valid."""
        return self._notices.read(headers, body)


BOOKS_UNAVAILABLE: Final = Unknown("the provider's books cannot be written")


async def _evidence_from(reply: Reply) -> Evidence:
    """Return what a response proves. Where no response comes, only the time-out of the caller ends the wait."""
    if reply is LostResponse.SILENCE:
        await asyncio.Event().wait()  # Never set.
    return Unknown(reply.value) if isinstance(reply, LostResponse) else evidence_of(reply)
