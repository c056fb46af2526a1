"""The connector for Mollie, before its double."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from paidonce.providers.base import HOSTED_PAGE, Provider
from paidonce.providers.evidence import BuyerAction
from paidonce.proving.doubles.mollie.server import MollieDouble
from tests.conformance.providers.kits import Kit, Running
from tests.support.doubles import page_of, visit
from tests.support.mollie import CAPTURE, PAYMENT, WEBHOOK_SECRET, connected, event, mollie_double, signed

CARD: Final = "creditcard"
# What the buyer chooses on Mollie's page, which decides what becomes of the payment, its captures and its refunds.
CHOICES: Final[Mapping[str, Mapping[str, str]]] = {
    CARD: {"act": "pay"},
    "card_expired": {"act": "fail", "reason": "card_expired"},
    "at_the_bank": {"act": "begin", "settlement": "later"},
    "at_the_bank_then_failed": {"act": "begin", "settlement": "fails"},
    "settled_later": {"act": "pay", "settlement": "later"},
    "settled_later_then_failed": {"act": "pay", "settlement": "fails"},
}
DECLINED_AFTERWARDS: Final = "bancontact"


class MollieKit(Kit):
    """Mollie's double. What is left out cannot be, or is in the connector's own tests: every payment needs a buyer, so
    that only the opening of a payment can fail, and a payment's own time to live is Mollie's.
    """

    patience_seconds = 3.0
    pays_after_approval = True
    succeeding = CARD
    declining = "card_expired"
    decline_code = "expired_card"
    refused = "klarna"
    paid_by_buyer = (HOSTED_PAGE, CARD)
    approved_then_declined = DECLINED_AFTERWARDS
    buyer_decline_code = "buyer_canceled"
    accepted = "at_the_bank"
    accepted_then_declined = "at_the_bank_then_failed"
    capture_accepted = refund_accepted = "settled_later"
    capture_accepted_then_failed = refund_accepted_then_failed = "settled_later_then_failed"
    webhook_id = "event_1"
    other_webhooks = (
        event("payment-link.paid", {"resource": "payment-link", "id": "pl_1", "mode": "test"}),
        event("payment.paid", PAYMENT | {"metadata": None}),
        event("payment.paid", PAYMENT | {"metadata": "of another system"}),
        event("payment.paid", PAYMENT | {"mode": "live"}),
        event("capture.succeeded", CAPTURE | {"metadata": None}),
        event("profile.blocked", None),
    )

    def __init__(self, provider: Provider, double: MollieDouble, vanish: Callable[[], None]) -> None:
        self.provider = provider
        self._double = double
        self._vanish = vanish

    def webhook(self, key: str, reference: str) -> bytes:
        return event("payment.paid", PAYMENT | {"id": reference, "metadata": {"paidonce_key": key}})

    def signed(self, body: bytes) -> Mapping[str, str]:
        return signed(body)

    def forgeries(self, body: bytes) -> Mapping[str, Mapping[str, str]]:
        (right,) = signed(body).values()
        found = {
            "an empty signature": "",
            "no digest": "sha256=",
            "another secret": signed(body, "another-secret")["X-Mollie-Signature"],
            "another body": signed(body + b" ")["X-Mollie-Signature"],
            "another algorithm": right.replace("sha256=", "sha1="),
            "the secret itself": f"sha256={WEBHOOK_SECRET}",
        }
        return {"unsigned": {}} | {wrong: {"X-Mollie-Signature": header} for wrong, header in found.items()}

    def method(self, chosen: str) -> str:
        return CARD if chosen in CHOICES else chosen

    async def choose(self, action: BuyerAction, chosen: str) -> None:
        await self._act(action, **CHOICES[chosen])

    async def approve(self, action: BuyerAction) -> None:
        payment = self._double.books.found(page_of(action).rpartition("/")[2]).payment
        declines = payment["method"] == DECLINED_AFTERWARDS
        await self.choose(action, "card_expired" if declines else CARD)

    async def decline(self, action: BuyerAction) -> None:
        await self._act(action, act="cancel")

    async def _act(self, action: BuyerAction, **form: str) -> None:
        assert (await visit(page_of(action), **form)).status_code == 303

    async def money_moved(self, checkout_id: str) -> list[int]:
        return self._double.books.ledger.charged_or_held().get(checkout_id, [])

    def vanish(self) -> None:
        self._vanish()


@asynccontextmanager
async def mollie(_folder: Path, _running: Running) -> AsyncIterator[Kit]:
    """The connector, before the double, which a thread serves."""
    with ExitStack() as stack:
        double = stack.enter_context(mollie_double())
        async with connected(double.books.url, timeout_seconds=MollieKit.patience_seconds, webhook_url="") as provider:
            yield MollieKit(provider, double, stack.close)
