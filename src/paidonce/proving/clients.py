"""The clients of a proof: they buy, repeat requests without a response, and remember what was acknowledged."""

import asyncio
import time
from http import HTTPStatus
from typing import Any, Final

import msgspec

from paidonce.http_client import HttpClient, NoAnswer
from paidonce.ids import Draw, seeded
from paidonce.proving.oracle import Acknowledged
from paidonce.proving.plan import METHODS

CANCEL_SHARE: Final = 0.04  # The share of checkouts that are canceled while they are being paid.
HOLD_SHARE: Final = 0.08  # The share that are authorized first and captured later.
REFUND_SHARE: Final = 0.10  # The share that are partially refunded after they are completed.
# Faster retries, or retries without backoff, would take the CPU that the service needs to restart.
RETRY_SECONDS_MIN: Final = 0.05
RETRY_SECONDS_MAX: Final = 0.4
WAIT_SECONDS: Final = 1
MERCHANTS: Final = 8


class Purchase(msgspec.Struct, kw_only=True):
    """What was acknowledged to a client about one purchase. An id or a time is set only once it was acknowledged."""

    key: str
    merchant_id: str
    amount: int
    method: str
    checkout_id: str | None = None
    paid_at: float | None = None
    status: str | None = None
    cancel_acknowledged: bool = False
    attempt_ids: set[str] = msgspec.field(default_factory=set)
    refund_ids: set[str] = msgspec.field(default_factory=set)

    def acknowledged(self) -> list[Acknowledged]:
        """Return everything that must be true of it from now on; nothing where its checkout was not acknowledged."""
        if self.checkout_id is None:
            return []
        checkout = Acknowledged(
            checkout_id=self.checkout_id,
            idempotency_key=self.key,
            merchant_id=self.merchant_id,
            amount=self.amount,
            status="CANCELED" if self.cancel_acknowledged else self.status,
        )
        return [checkout, *(Acknowledged(attempt_id=one) for one in sorted(self.attempt_ids | self.refund_ids))]


class Clients:
    """Concurrent buyers at one server. ``purchases`` is what they remember."""

    def __init__(self, http: HttpClient, seed: int, concurrency: int) -> None:
        self._http = http
        self._seed = seed
        self._concurrency = concurrency
        self._stopping = asyncio.Event()
        self.purchases: list[Purchase] = []
        self.requests = 0
        self.repeats = 0
        self.unexpected: list[str] = []

    async def run(self) -> None:
        """Buy until ``stop``. Purchases that were begun are finished, however often a request must be repeated."""
        await asyncio.gather(*(self._buy(number) for number in range(self._concurrency)))

    def stop(self) -> None:
        """Begin no more purchases."""
        self._stopping.set()

    async def _buy(self, number: int) -> None:
        draw = seeded(f"{self._seed}/{number}")
        count = 0
        while not self._stopping.is_set():
            count += 1
            purchase = Purchase(
                key=f"{number}-{count}",
                merchant_id=f"merchant-{draw.randrange(MERCHANTS)}",
                amount=draw.randrange(100, 100_000) // 10_000 * 10_000 + 100,
                method=draw.choices(list(METHODS), weights=list(METHODS.values()))[0],
            )
            self.purchases.append(purchase)
            await self._purchase(purchase, draw)

    async def _purchase(self, purchase: Purchase, draw: Draw) -> None:
        held = draw.random() < HOLD_SHARE
        created = await self._until_answered(
            "POST",
            "/checkouts",
            {
                "merchantId": purchase.merchant_id,
                "amount": purchase.amount,
                "currency": "EUR",
                "idempotencyKey": purchase.key,
                "captureMethod": "manual" if held else "automatic",
            },
            expected={201},
        )
        purchase.checkout_id = created["id"]
        path = f"/checkouts/{purchase.checkout_id}"
        pay = self._until_answered("POST", f"{path}/pay", {"paymentMethod": purchase.method}, expected={202, 409, 410})
        if draw.random() < CANCEL_SHARE:
            paid, canceled = await asyncio.gather(
                pay, self._until_answered("POST", f"{path}/cancel", {}, expected={200, 202, 409, 410})
            )
            purchase.cancel_acknowledged = canceled.get("status") == "CANCELED"
        else:
            paid = await pay
        if "attempt" in paid:
            purchase.paid_at = time.monotonic()
            purchase.attempt_ids.add(paid["attempt"]["id"])
        # Like real buyers, they wait for the outcome, or for a while, before they buy again.
        settled = await self._until_answered("GET", path, None, expected={200}, wait=WAIT_SECONDS)
        purchase.status = settled["status"]
        if settled["status"] == ("AUTHORIZED" if held else "COMPLETED") and (held or draw.random() < REFUND_SHARE):
            await self._follow_up(purchase, path, held=held)

    async def _follow_up(self, purchase: Purchase, path: str, *, held: bool) -> None:
        """Capture an authorized checkout, or send several concurrent refunds of a completed one, with repeated keys."""
        if held:
            answer = await self._until_answered(
                "POST",
                f"{path}/capture",
                {"amount": purchase.amount // 2},
                expected={202, 409, 410},
                key=f"{purchase.key}-capture",
            )
            if "attempt" in answer:
                purchase.attempt_ids.add(answer["attempt"]["id"])
            return
        half = {"amount": purchase.amount // 2}
        answers = await asyncio.gather(
            *(
                self._until_answered("POST", f"{path}/refunds", half, expected={202, 422}, key=f"{purchase.key}-{key}")
                for key in ("refund-1", "refund-2", "refund-2", "refund-3")
            )
        )
        purchase.refund_ids |= {answer["id"] for answer in answers if "id" in answer}

    async def _until_answered(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        *,
        expected: set[int],
        wait: int = 0,
        key: str | None = None,
    ) -> dict[str, Any]:
        """Repeat a request until it is answered. No response, 503 and 500 do not count as answers."""
        headers = {"Prefer": f"wait={wait}"} if wait else {}
        if key is not None:
            headers["Idempotency-Key"] = key
        pause = RETRY_SECONDS_MIN
        while True:
            self.requests += 1
            try:
                response = await self._http.request(method, path, body, headers=headers)
            except NoAnswer:
                response = None
            if response is not None and response.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                answer: dict[str, Any] = response.json()
                if response.status not in expected:
                    self.unexpected.append(f"{method} {path}: {response.status} {answer.get('code')}")
                return answer
            if response is not None and response.status == HTTPStatus.INTERNAL_SERVER_ERROR:
                self.unexpected.append(f"{method} {path}: 500")
            self.repeats += 1
            await asyncio.sleep(pause)
            pause = min(2 * pause, RETRY_SECONDS_MAX)
