"""A client that returns after a crash: it stores acknowledgements, and repeats requests unchanged."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from paidonce import ids
from paidonce.checkouts.actions import Created, Replayed, create_checkouts, load_checkouts
from paidonce.checkouts.model import Checkout, CheckoutStatus, NewCheckout, ProviderRoute
from paidonce.clock import Instant
from paidonce.errors import PaidonceError
from paidonce.idempotency.model import Claim, Idempotency, ScopedKey, StoredResponse
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.capture import StartCancel, StartCapture, start_cancels, start_captures
from paidonce.payments.model import Attempt, Fallback
from paidonce.payments.pay import Started, StartPayment, start_payments
from paidonce.payments.refund import StartRefund, load_refunds_of_checkouts, start_refunds
from paidonce.providers.simulator.behaviour import opens_session
from paidonce.proving.oracle import Acknowledged
from paidonce.service import Service

WAIT_SECONDS_MAX: Final = 60.0
SIMULATOR: Final = "simulator"
AT_THE_SIMULATOR: Final = ProviderRoute(SIMULATOR)
KEPT_MS: Final = 3650 * 86_400_000  # Longer than any proof takes.


def idempotency_for(merchant_id: str, key: str, content: object) -> Idempotency:
    """Return the claim to a key for a request with this content."""
    claim = Claim(
        id=ids.new_id(ids.CLAIM),
        name=ScopedKey(merchant_id, "test", key),
        path="/",
        fields={"content": str(content)},
        retention_ms=KEPT_MS,
    )
    return Idempotency(claim, summarize)


def summarize(_request: object, _outcome: object) -> StoredResponse:
    return StoredResponse(202, "/")


class ShiftedClock:
    """The machine's clock plus an offset, so that leases need not be waited for."""

    def __init__(self, shift_seconds: int) -> None:
        self.shift_ms = shift_seconds * 1000

    def __call__(self) -> Instant:
        """Return the current time."""
        return time.time_ns() // 1_000_000 + self.shift_ms


class Buyer:
    """The client of one merchant. ``told`` is a file that outlives the process, with one acknowledgement a line as
    JSON.
    """

    def __init__(
        self, service: Service, merchant_id: str, told: Path, *, clock: ShiftedClock, arm: Callable[[], None]
    ) -> None:
        self.service = service
        self.merchant_id = merchant_id
        self.clock = clock
        self.arm = arm
        self.leaving_at_once = False
        self._told = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def _note(self, fact: Acknowledged) -> None:
        os.write(self._told, msgspec.json.encode(fact) + b"\n")

    async def create(self, **fields: Any) -> Checkout:  # noqa: ANN401 - the fields of NewCheckout
        command = NewCheckout(
            id=ids.new_id(ids.CHECKOUT),
            merchant_id=self.merchant_id,
            idempotency_key="the-purchase",
            **{"amount": 1000, "currency": "USD", **fields},
        )
        outcome: Created | Replayed = await self.service.writer.submit(create_checkouts, command)
        self._note(Acknowledged(checkout_id=outcome.checkout.id, merchant_id=self.merchant_id))
        return outcome.checkout

    async def pay(
        self,
        checkout: Checkout,
        method: str = "tok_success",
        *,
        route: ProviderRoute = AT_THE_SIMULATOR,
        in_session: bool = False,
        fallbacks: tuple[Fallback, ...] = (),
    ) -> None:
        command = StartPayment(
            attempt_id=ids.new_id(ids.ATTEMPT),
            checkout=TenantScopedId(checkout.id, None),
            payment_method=method,
            route=route,
            # The token is the checkout's id here, so that a buyer who starts anew finds it again.
            return_url=f"https://shop.example/return/{checkout.id}" if in_session or opens_session(method) else None,
            fallbacks=fallbacks,
        )
        await self._begin(start_payments, command, route=route)

    async def capture(self, checkout: Checkout, amount: int) -> None:
        command = StartCapture(
            attempt_id=ids.new_id(ids.ATTEMPT), checkout=TenantScopedId(checkout.id, None), amount=amount
        )
        await self._begin(start_captures, command)

    async def cancel(self, checkout: Checkout) -> None:
        await self._begin(
            start_cancels, StartCancel(attempt_id=ids.new_id(ids.ATTEMPT), checkout=TenantScopedId(checkout.id, None))
        )

    async def refund(self, checkout: Checkout, amount: int, key: str) -> None:
        command = StartRefund(
            attempt_id=ids.new_id(ids.ATTEMPT), checkout=TenantScopedId(checkout.id, None), amount=amount
        )
        await self._begin(start_refunds, command, idempotency_for(checkout.merchant_id, key, amount))

    async def _begin(
        self,
        action: Any,  # noqa: ANN401 - any of the four above
        command: Any,  # noqa: ANN401 - as above
        idempotency: Idempotency | None = None,
        *,
        route: ProviderRoute = AT_THE_SIMULATOR,
    ) -> None:
        """Send the request. A repeated request may find that it was processed already, which is fine."""
        try:
            outcome = await self.service.worker.begin(action, command, route, idempotency=idempotency)
        except PaidonceError:
            return
        if isinstance(outcome, Started):
            self._note(Acknowledged(attempt_id=outcome.attempt.id))

    async def read(self, checkout_id: str) -> Checkout:
        found = await self.service.reader.submit(load_checkouts, TenantScopedId(checkout_id, None))
        assert isinstance(found, Checkout)
        return found

    async def until(self, checkout: Checkout, *wanted: CheckoutStatus) -> Checkout:
        """Wait until the checkout has one of these statuses. A status that a client has seen is acknowledged."""

        async def look() -> Checkout | None:
            seen = await self.read(checkout.id)
            return seen if seen.status in wanted else None

        seen: Checkout = await self.come_true(look)
        self._note(Acknowledged(checkout_id=seen.id, status=str(seen.status)))
        return seen

    async def until_refunded(self, checkout: Checkout, count: int) -> None:
        async def look() -> list[Attempt] | None:
            found = await self.service.reader.submit(load_refunds_of_checkouts, TenantScopedId(checkout.id, None))
            assert isinstance(found, list)
            return found if sum(one.settled_at is not None for one in found) == count else None

        for one in await self.come_true(look):
            self._note(Acknowledged(attempt_id=one.id, attempt_status=str(one.status)))

    async def come_true(self, look: Callable[[], Any]) -> Any:  # noqa: ANN401 - what ``look`` finds
        """Poll until there is a result; a payment that is stuck is a failure."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not (found := await look()):  # noqa: ASYNC110 - other processes change it too
                await asyncio.sleep(0.005)
        return found
