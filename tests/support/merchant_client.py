"""A merchant's client of paidonce, which distinguishes acknowledged and unacknowledged requests."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx

T = TypeVar("T")

ANSWER_SECONDS_MAX: Final = 90.0  # "Never a hang": whatever takes longer has failed.
ACTS_MAX: Final = 30
PAYMENT_SECONDS_MAX: Final = 120.0  # "No payment is stuck": so long after the last fault none is under way.
CONNECTIONS_MAX: Final = 250

Json = dict[str, Any]


class MerchantClient:
    """The client of one merchant. Its methods return raw responses, and raise httpx.TransportError where none comes."""

    def __init__(self, url: str, merchant_id: str | None = None) -> None:
        self.merchant_id = merchant_id or f"m_{secrets.token_hex(6)}"
        limits = httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)
        self.http = httpx.AsyncClient(base_url=url, limits=limits, timeout=ANSWER_SECONDS_MAX, verify=False)

    async def __aenter__(self) -> Self:
        await self.http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.__aexit__(kind, error, trace)

    def body(self, key: str | None = None, **fields: object) -> Json:
        """Return the body of a create: 10.00 USD by default."""
        return {
            "merchantId": self.merchant_id,
            "amount": 1000,
            "currency": "USD",
            "idempotencyKey": key or secrets.token_hex(8),
            **fields,
        }

    async def create(self, key: str | None = None, **fields: object) -> httpx.Response:
        return await self.http.post("/checkouts", json=self.body(key, **fields))

    async def created(self, key: str | None = None, **fields: object) -> str:
        """Create a checkout, which must succeed; returns its id."""
        answer = await self.create(key, **fields)
        assert answer.status_code == 201, answer.text
        checkout_id: str = answer.json()["id"]
        return checkout_id

    async def pay(self, checkout_id: str, method: str | None = None, *, wait_seconds: int = 0) -> httpx.Response:
        """Pay; without a method there is no body, as in the demo."""
        body = {} if method is None else {"json": {"paymentMethod": method}}
        return await self.http.post(f"/checkouts/{checkout_id}/pay", headers=prefer(wait_seconds), **body)  # type: ignore[arg-type]

    async def paid(self, checkout_id: str, method: str | None = None) -> Json:
        """Pay, and wait for the outcome."""
        answer = await self.pay(checkout_id, method, wait_seconds=20)
        assert answer.status_code == 202, answer.text
        checkout: Json = answer.json()
        return await self.ended(checkout_id) if checkout["status"] == "PROCESSING" else checkout

    async def ended(self, checkout_id: str) -> Json:
        """Wait until no payment of a checkout is under way, and read it."""
        async with asyncio.timeout(PAYMENT_SECONDS_MAX):
            while (checkout := await self.get(checkout_id, wait_seconds=20))["status"] == "PROCESSING":
                pass
        return checkout

    async def cancel(self, checkout_id: str) -> httpx.Response:
        return await self.http.post(f"/checkouts/{checkout_id}/cancel")

    async def get(self, checkout_id: str, *, wait_seconds: int = 0) -> Json:
        """Read a checkout, which must exist."""
        answer = await self.http.get(f"/checkouts/{checkout_id}", headers=prefer(wait_seconds))
        assert answer.status_code == 200, answer.text
        checkout: Json = answer.json()
        return checkout

    async def timeline(self, checkout_id: str) -> list[Json]:
        answer = await self.http.get(f"/checkouts/{checkout_id}/timeline")
        assert answer.status_code == 200, answer.text
        entries: list[Json] = answer.json()["data"]
        return entries


async def during_a_payment(shop: MerchantClient, act: Callable[[str, str], Awaitable[T]]) -> tuple[str, T]:
    """Create a checkout and act on it while its payment is under way; returns its id and what the act returned.

    ``act`` takes the checkout's id and a payment method that it pays by. Where the payment ended before the act did,
    all of it is done again: how long an act takes is the machine's to say. A payment that takes longer than the
    provider's time limit of these tests, two seconds, would not be one try.
    """
    for _ in range(ACTS_MAX):
        checkout_id = await shop.created()
        done = await act(checkout_id, "tok_delay_1500")
        if (await shop.get(checkout_id))["status"] == "PROCESSING":
            return checkout_id, done
    message = "no payment took so long that all of this happened while it was under way"
    raise AssertionError(message)


def prefer(wait_seconds: int) -> dict[str, str]:
    return {"Prefer": f"wait={wait_seconds}"} if wait_seconds else {}


def is_replayed(answer: httpx.Response) -> bool:
    return "true" in answer.headers.get_list("Idempotent-Replayed")


async def at_once(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Make all calls concurrently."""
    return await asyncio.gather(*calls)


async def a_few_at_a_time(call: Callable[[str], Awaitable[T]], ids: Sequence[str], *, limit: int = 32) -> list[T]:
    """Make a call for each id, ``limit`` at a time, so that checks are not a load test."""
    places = asyncio.Semaphore(limit)

    async def one(checkout_id: str) -> T:
        async with places:
            return await call(checkout_id)

    return await at_once(one(checkout_id) for checkout_id in ids)
