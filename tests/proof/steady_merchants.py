"""Merchants that create and pay checkouts steadily, one after the other, and note how long each call took."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from http import HTTPStatus
from typing import Final, NamedTuple

import httpx

from tests.support.merchant_client import Json, MerchantClient, at_once, prefer

BACKOFF_SECONDS: Final = 0.05  # Of a client that was refused. The sooner it comes back, the better it shows a stall.
OUTCOME_WAIT_SECONDS: Final = 10
WAIT_SECONDS_MAX: Final = 120.0


class Call(NamedTuple):
    """A create or a pay that was acknowledged: its time from the first try on, in seconds of the monotonic clock, and
    how often it was refused with 503 before.
    """

    merchant: str
    began: float
    ended: float
    refusals: int


class SteadyMerchants:
    """Merchants who call with API keys of their own, made with an operator's key. ``calls`` are all creates and pays
    that were acknowledged, ``paid`` the checkouts of the pays.
    """

    def __init__(self, url: str, operator_key: str, merchants: Sequence[str]) -> None:
        self.merchants: Final = merchants
        self._url = url
        self._operator_key = operator_key
        self.calls: list[Call] = []
        self.paid: set[str] = set()
        self.refused: set[str] = set()  # Merchants who were refused since somebody emptied this set.
        self._changed = asyncio.Event()
        self._stopping = False

    async def run(self) -> None:
        """Create and pay until ``stop``."""
        try:
            async with MerchantClient(self._url) as operator:
                operator.http.headers["Authorization"] = f"Bearer {self._operator_key}"
                keys = await at_once(self._new_key(operator, merchant) for merchant in self.merchants)
            await at_once(self._trade(*pair) for pair in zip(self.merchants, keys, strict=True))
        finally:
            self._stopping = True
            self._changed.set()

    def stop(self) -> None:
        """Have each merchant end with what it is doing."""
        self._stopping = True

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true of the calls."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not condition():
                assert not self._stopping, "the merchants ended before this came true"
                self._changed.clear()
                await self._changed.wait()

    async def until_served(self, merchants: Collection[str], *, since: float, times: int = 1) -> None:
        """Wait until each of these merchants has calls that began since then and were acknowledged."""

        def are_served() -> bool:
            served = [one.merchant for one in self.calls if one.began >= since]
            return all(served.count(merchant) >= times for merchant in merchants)

        await self.until(are_served)

    def longest_seconds(self, since: float, until: float, *, of: Collection[str] = ()) -> float:
        """Return the longest time within a period that a call took, whenever it began."""
        return max(
            min(one.ended, until) - max(one.began, since)
            for one in self.calls
            if one.ended > since and one.began < until and (not of or one.merchant in of)
        )

    @staticmethod
    async def _new_key(operator: MerchantClient, merchant: str) -> str:
        created = await operator.http.post("/merchants", json={"id": merchant})
        assert created.status_code == HTTPStatus.CREATED, created.text
        created = await operator.http.post("/keys", json={"merchantId": merchant})
        assert created.status_code == HTTPStatus.CREATED, created.text
        secret: str = created.json()["secret"]
        return secret

    async def _trade(self, merchant: str, key: str) -> None:
        async with MerchantClient(self._url, merchant) as client:
            client.http.headers["Authorization"] = f"Bearer {key}"
            while True:
                create = partial(client.create, secrets.token_hex(8))
                created = await self._until_acknowledged(merchant, create, HTTPStatus.CREATED)
                if created is None:
                    return
                checkout_id: str = created["id"]
                pay = partial(client.pay, checkout_id, "tok_success")
                if await self._until_acknowledged(merchant, pay, HTTPStatus.ACCEPTED) is None:
                    return
                self.paid.add(checkout_id)
                # It goes on when the payment has ended. While the node is lost, the answer is 503.
                await client.http.get(f"/checkouts/{checkout_id}", headers=prefer(OUTCOME_WAIT_SECONDS))

    async def _until_acknowledged(
        self, merchant: str, call: Callable[[], Awaitable[httpx.Response]], status: HTTPStatus
    ) -> Json | None:
        """Repeat a call until it is acknowledged; returns the body, or None where the merchants were stopped before."""
        began, refusals = time.monotonic(), 0
        while not self._stopping:
            answer = await call()
            if answer.status_code == status:
                self.calls.append(Call(merchant, began, time.monotonic(), refusals))
                self._changed.set()
                body: Json = answer.json()
                return body
            assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE, answer.text
            assert "Retry-After" in answer.headers
            refusals += 1
            self.refused.add(merchant)
            self._changed.set()
            await asyncio.sleep(BACKOFF_SECONDS)
        return None
