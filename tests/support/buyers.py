"""Concurrent buyers: they create and pay checkouts, remember what was acknowledged, and repeat what was not."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Final

import httpx

from tests.support.merchant_client import Json, MerchantClient, a_few_at_a_time, at_once, is_replayed

METHODS: Final = (
    *["tok_success"] * 6,
    *["tok_declined_expired_card"] * 2,
    "tok_error_then_success",
    "tok_error_after_charge",
)
BUYERS: Final = 8


class Buyers:
    """``created`` holds the body of every checkout that was acknowledged, ``paid`` those whose payment was.

    ``unanswered`` holds the bodies of purchases that were not acknowledged: they are made again, before any other.
    ``slow`` is a payment method that some take besides, for payments that must be under way when something happens.
    """

    def __init__(self, chance: Random, *, slow: str | None = None) -> None:
        self.chance = chance
        self.methods = METHODS if slow is None else (*METHODS, slow, slow)
        self.merchants = [f"m_{secrets.token_hex(6)}" for _ in range(3)]
        self.created: dict[str, Json] = {}
        self.paid: set[str] = set()
        self.answers: Counter[int] = Counter()
        self._method: dict[str, str] = {}
        self.unanswered: list[Json] = []
        self._changed = asyncio.Event()
        self._ended = False

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on the acknowledged purchases is true, while others buy."""
        while not condition():
            assert not self._ended, "the buyers ended before this came true"
            self._changed.clear()
            await self._changed.wait()

    async def buy(self, url: str, *, enough: Callable[[], bool] = lambda: False) -> None:
        """Buy with several concurrent buyers, until it is enough or the service stops answering."""
        self._ended = False
        try:
            async with MerchantClient(url) as shop:
                await at_once(self._buy(shop, enough) for _ in range(BUYERS))
        finally:
            self._ended = True
            self._changed.set()

    async def _buy(self, shop: MerchantClient, enough: Callable[[], bool]) -> None:
        while not enough():
            body = self.unanswered.pop() if self.unanswered else self._new_body(shop)
            try:
                done = await self._buy_one(shop, body)
            except httpx.TransportError:
                self.unanswered.append(body)
                return
            if not done:
                self.unanswered.append(body)

    def _new_body(self, shop: MerchantClient) -> Json:
        key = secrets.token_hex(8)
        self._method[key] = self.chance.choice(self.methods)
        amount = self.chance.randrange(1, 4000)
        return shop.body(key, merchantId=self.chance.choice(self.merchants), amount=amount)

    async def _buy_one(self, shop: MerchantClient, body: Json) -> bool:
        created = await shop.http.post("/checkouts", json=body)
        if not self._is_acknowledged(created, 201):
            return False
        checkout_id = created.json()["id"]
        before = self.created.setdefault(checkout_id, body)
        assert before == body, "one id was acknowledged for two purchases"
        paid = await shop.pay(checkout_id, self._method[body["idempotencyKey"]])
        if is_replayed(created) and paid.status_code == 409:  # Its first answer was lost, and it has ended since.
            assert paid.json()["currentStatus"] == "COMPLETED"
            self.paid.add(checkout_id)
            return True
        if not self._is_acknowledged(paid, 202):
            return False
        self.paid.add(checkout_id)
        return True

    def _is_acknowledged(self, answer: httpx.Response, status: int) -> bool:
        self.answers[answer.status_code] += 1
        self._changed.set()
        if answer.status_code == 503:
            assert "Retry-After" in answer.headers
            return False
        assert answer.status_code == status, answer.text
        return True

    async def lost(self, url: str) -> list[str]:
        """Return what was acknowledged and is missing, or was paid and does not end; empty where all is well."""
        async with MerchantClient(url) as shop:
            found = await a_few_at_a_time(shop.ended, list(self.created))
        wrong = [
            f"{checkout['id']} is another than was acknowledged: {checkout}"
            for checkout in found
            if not checkout.items() >= self.created[checkout["id"]].items()
        ]
        ended = {checkout["id"]: checkout["status"] for checkout in found}
        return wrong + [
            f"{one} was paid and is {ended[one]}" for one in self.paid if ended[one] not in ("COMPLETED", "FAILED")
        ]
