"""The clients of a proof: they buy, repeat requests without a response, and remember what was acknowledged."""

import asyncio
import time
from http import HTTPStatus
from typing import Any, Final

import msgspec

from paidonce.http_client import HttpClient, NoAnswer
from paidonce.ids import Draw, seeded
from paidonce.proving.behavior import WITH_TOKEN, Behavior, Shares
from paidonce.proving.buyers import Browsers, page_of
from paidonce.proving.kits import Kit
from paidonce.proving.oracle import Acknowledged
from paidonce.proving.provider import merchants

# Faster retries, or retries without backoff, would take the CPU that the service needs to restart.
RETRY_SECONDS_MIN: Final = 0.05
RETRY_SECONDS_MAX: Final = 0.4
WAIT_SECONDS: Final = 1
ACTION_WAITS_MAX: Final = 5  # How often a client waits for the page that it is to be shown.
OTHER_WAYS_MAX: Final = 40  # How often a client tries to pay in another way, while the first session is closed.
PAGE: Final = "hosted page"


class Purchase(msgspec.Struct, kw_only=True):
    """What was acknowledged to a client about one purchase. An id or a time is set only once it was acknowledged."""

    key: str
    merchant_id: str
    amount: int
    method: str
    held: bool = False
    checkout_id: str | None = None
    paid_at: float | None = None
    status: str | None = None
    cancel_acknowledged: bool = False
    behavior: Behavior | None = None
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
    """Concurrent buyers at one server. ``purchases`` is what they remember, and ``abandoned`` the ids of checkouts that
    their buyers will not pay.
    """

    def __init__(
        self, http: HttpClient, kit: Kit, browsers: Browsers, *, shares: Shares, seed: int, concurrency: int
    ) -> None:
        self._http = http
        self._methods = dict(kit.tokens) | ({PAGE: kit.pages} if kit.has_pages else {})
        self._tokens = dict(kit.tokens)
        self._browsers = browsers
        self._shares = shares
        self._seed = seed
        self._concurrency = concurrency
        self._stopping = asyncio.Event()
        self.purchases: list[Purchase] = []
        self.abandoned: set[str] = set()
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
                merchant_id=draw.choice(merchants()),
                amount=draw.randrange(100, 100_000) // 10_000 * 10_000 + 100,
                method=draw.choices(list(self._methods), weights=list(self._methods.values()))[0],
                held=draw.random() < self._shares.hold,
            )
            self.purchases.append(purchase)
            await self._purchase(purchase, draw)

    async def _purchase(self, purchase: Purchase, draw: Draw) -> None:
        created = await self._until_answered(
            "POST",
            "/checkouts",
            {
                "merchantId": purchase.merchant_id,
                "amount": purchase.amount,
                "currency": "EUR",
                "idempotencyKey": purchase.key,
                "captureMethod": "manual" if purchase.held else "automatic",
            },
            expected={201},
        )
        purchase.checkout_id = created["id"]
        path = f"/checkouts/{purchase.checkout_id}"
        if draw.random() < self._shares.cancel:
            paying = asyncio.create_task(self._pay(purchase, path, purchase.method))
            canceled = await self._until_answered("POST", f"{path}/cancel", {}, expected={200, 202, 409, 410})
            await paying
            purchase.cancel_acknowledged = canceled.get("status") == "CANCELED"
        else:
            await self._pay(purchase, path, purchase.method)
        # Like real buyers, they wait for the outcome, or for a while, before they buy again.
        settled = await self._until_answered("GET", path, None, expected={200}, wait=WAIT_SECONDS)
        if purchase.method == PAGE:
            settled = await self._on_page(purchase, path, settled, draw)
        purchase.status = settled["status"]
        if settled["status"] == ("AUTHORIZED" if purchase.held else "COMPLETED"):
            await self._follow_up(purchase, path, draw)

    async def _pay(self, purchase: Purchase, path: str, method: str) -> dict[str, Any]:
        body = {} if method == PAGE else {"paymentMethod": method}
        paid = await self._until_answered("POST", f"{path}/pay", body, expected={202, 409, 410})
        if "attempt" in paid:
            purchase.paid_at = time.monotonic()
            purchase.attempt_ids.add(paid["attempt"]["id"])
        return paid

    async def _on_page(self, purchase: Purchase, path: str, checkout: dict[str, Any], draw: Draw) -> dict[str, Any]:
        """Act as the buyer who is sent to a page; returns the checkout afterwards."""
        checkout = await self._until_shown(path, checkout)
        page = page_of(checkout)
        if page is None:
            return checkout
        purchase.behavior = behavior = self._browsers.behavior(draw)
        visit = asyncio.create_task(self._browsers.visit(page, behavior, draw))
        if behavior is Behavior.EXPIRES:
            self.abandoned.add(page.checkout_id)
        if behavior is Behavior.SHOP_CANCELS:
            canceled = await self._until_answered("POST", f"{path}/cancel", {}, expected={200, 202, 409, 410})
            purchase.cancel_acknowledged = canceled.get("status") == "CANCELED"
        if behavior in WITH_TOKEN:
            await self._pay_otherwise(purchase, path, draw)
        await visit
        if behavior is Behavior.DECLINES_FIRST:
            await self._approve_after_decline(purchase, path, draw)
        if behavior in (Behavior.NEVER_PAYS, Behavior.DECLINES):
            self.abandoned.add(page.checkout_id)
            return checkout
        return await self._until_answered("GET", path, None, expected={200}, wait=WAIT_SECONDS)

    async def _until_shown(self, path: str, checkout: dict[str, Any]) -> dict[str, Any]:
        """Wait until a checkout has a page for its buyer, or does not need one any more."""
        for _ in range(ACTION_WAITS_MAX):
            if checkout["status"] != "PROCESSING" or page_of(checkout):
                break
            checkout = await self._until_answered("GET", path, None, expected={200}, wait=WAIT_SECONDS)
        return checkout

    async def _approve_after_decline(self, purchase: Purchase, path: str, draw: Draw) -> None:
        """Approve on the same page; where the decline has ended the payment, begin another one first."""
        checkout = await self._until_answered("GET", path, None, expected={200}, wait=WAIT_SECONDS)
        if checkout["status"] == "FAILED":
            await self._pay(purchase, path, PAGE)
            checkout = await self._until_answered("GET", path, None, expected={200}, wait=WAIT_SECONDS)
        page = page_of(await self._until_shown(path, checkout))
        if page is not None:
            await self._browsers.visit(page, Behavior.APPROVES, draw)

    async def _pay_otherwise(self, purchase: Purchase, path: str, draw: Draw) -> None:
        """Pay with a token. It is refused until the session of the page is closed."""
        method = draw.choices(list(self._tokens), weights=list(self._tokens.values()))[0]
        for _ in range(OTHER_WAYS_MAX):
            paid = await self._pay(purchase, path, method)
            if paid.get("code") != "payment_in_progress":
                return
            await asyncio.sleep(RETRY_SECONDS_MIN)

    async def _follow_up(self, purchase: Purchase, path: str, draw: Draw) -> None:
        """Capture half of an authorized checkout, cancel it or leave it; or refund a completed one, with several
        concurrent requests and repeated keys.
        """
        half = {"amount": purchase.amount // 2}
        chance = draw.random()
        if purchase.held and chance < self._shares.void:
            canceled = await self._until_answered("POST", f"{path}/cancel", {}, expected={200, 202, 409, 410})
            purchase.cancel_acknowledged = canceled.get("status") == "CANCELED"
        elif purchase.held and chance < self._shares.void + self._shares.lapse:
            self.abandoned.add(path.rpartition("/")[2])
        elif purchase.held:
            key = f"{purchase.key}-capture"
            answer = await self._until_answered("POST", f"{path}/capture", half, expected={202, 409, 410}, key=key)
            if "attempt" in answer:
                purchase.attempt_ids.add(answer["attempt"]["id"])
        elif chance < self._shares.refund:
            keys = [f"{purchase.key}-{name}" for name in ("refund-1", "refund-2", "refund-2", "refund-3")]
            answers = await asyncio.gather(
                *(self._until_answered("POST", f"{path}/refunds", half, expected={202, 422}, key=key) for key in keys)
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
