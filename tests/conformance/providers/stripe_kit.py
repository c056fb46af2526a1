"""The connector for Stripe, before its double."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from paidonce.providers.base import EMBEDDED, HOSTED_PAGE, Provider
from paidonce.providers.evidence import BuyerAction, ClientSecret
from paidonce.proving.doubles.stripe.server import StripeDouble, signature
from tests.conformance.providers.kits import Kit, Running
from tests.support.stripe import WEBHOOK_SECRET, connected, event, stripe_double

SUCCEEDING = "pm_card_visa"


class StripeKit(Kit):
    """Stripe's double. What is left out cannot be, or is in the connector's own tests: a session lasts half an hour
    at least, a buyer who goes back may come again, and the replayed response to a refund stays "pending".
    """

    patience_seconds = 3.0
    succeeding = SUCCEEDING
    declining = "pm_card_chargeDeclinedExpiredCard"
    decline_code = "expired_card"
    refused = "pm_card_of_nobody"
    paid_by_buyer = (HOSTED_PAGE, EMBEDDED)
    charged_without_buyer = SUCCEEDING
    failing_after = "pm_double_dropped_after_charge"
    silent = "pm_double_silent_after_charge"
    replayed_error = "pm_double_error_after_charge"
    webhook_id = "evt_1"
    other_webhooks = (
        event("account.updated", {"id": "acct_1", "object": "account"}),
        event(
            "payment_intent.succeeded",
            {"id": "pi_1", "object": "payment_intent", "status": "succeeded"}
            | {"amount": 1000, "amount_received": 1000, "currency": "usd"},
        ),
    )

    def __init__(self, provider: Provider, double: StripeDouble, vanish: Callable[[], None]) -> None:
        self.provider = provider
        self._double = double
        self._vanish = vanish

    def webhook(self, key: str, reference: str) -> bytes:
        about: dict[str, Any] = {
            "id": reference,
            "object": "payment_intent",
            "status": "succeeded",
            "amount": 1000,
            "amount_received": 1000,
            "currency": "usd",
            "metadata": {"paidonce_key": key},
        }
        return event("payment_intent.succeeded", about)

    def signed(self, body: bytes) -> Mapping[str, str]:
        return {"Stripe-Signature": signature(WEBHOOK_SECRET, body, int(time.time()))}

    def forgeries(self, body: bytes) -> Mapping[str, Mapping[str, str]]:
        now = int(time.time())
        right = signature(WEBHOOK_SECRET, body, now)
        found = {
            "no signature": f"t={now}",
            "no time": right.partition(",")[2],
            "another secret": signature("whsec_other0000", body, now),
            "another body": signature(WEBHOOK_SECRET, body + b" ", now),
            "another time": right.replace(f"t={now}", f"t={now - 1}"),
            "another version": right.replace("v1=", "v0="),
            "too old": signature(WEBHOOK_SECRET, body, now - 301),
            "from the future": signature(WEBHOOK_SECRET, body, now + 330),
        }
        return {"unsigned": {}} | {wrong: {"Stripe-Signature": header} for wrong, header in found.items()}

    async def approve(self, action: BuyerAction) -> None:
        await self._act(action, act="pay", method=SUCCEEDING)

    async def decline(self, action: BuyerAction) -> None:
        await self._act(action, act="cancel")

    async def _act(self, action: BuyerAction, **form: str) -> None:
        if isinstance(action, ClientSecret):
            intent, _, _ = action.secret.partition("_secret_")
            url = f"{self._double.books.url}/elements/{intent}"
            form |= {"client_secret": action.secret, "return_url": action.return_url or ""}
        else:
            url = action.url
        async with httpx.AsyncClient(timeout=60) as browser:
            answer = await browser.post(url, data=form)
            # Stripe's script is told that a payment is over, and its page that it must go back.
            assert answer.status_code in ({303, 400} if isinstance(action, ClientSecret) else {303})

    async def money_moved(self, checkout_id: str) -> list[int]:
        return self._double.books.ledger.charged_or_held().get(checkout_id, [])

    def vanish(self) -> None:
        self._vanish()


@asynccontextmanager
async def stripe(_folder: Path, _running: Running) -> AsyncIterator[Kit]:
    """The connector, before the double, which a thread serves."""
    with ExitStack() as stack:
        double = stack.enter_context(stripe_double())
        async with connected(double.books.url, timeout_seconds=StripeKit.patience_seconds) as provider:
            yield StripeKit(provider, double, stack.close)
