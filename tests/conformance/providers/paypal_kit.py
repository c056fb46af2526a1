"""The connector for PayPal, before its double."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from paidonce.clock import system_clock
from paidonce.providers.base import Provider
from paidonce.providers.evidence import BuyerAction
from paidonce.proving.doubles.paypal.funding import BALANCE
from paidonce.proving.doubles.paypal.pages import CERTIFICATE
from paidonce.proving.doubles.paypal.server import PayPalDouble
from paidonce.proving.doubles.paypal.signing import signed_headers
from tests.conformance.providers.kits import Kit, Running
from tests.support.doubles import page_of, visit
from tests.support.paypal import WEBHOOK_ID, connected, event, paypal_double

WALLET = "paypal"
DAY_MS = 24 * 60 * 60 * 1000


class PayPalKit(Kit):
    """PayPal's double. A buyer approves each order, and chooses there what it is paid with. What is left out cannot be,
    or is in the connector's own tests: PayPal forgets an order after hours, a buyer who goes back may come again, and a
    refund that exceeds the charge is refused at once.
    """

    patience_seconds = 3.0
    pays_after_approval = True
    succeeding = WALLET
    declining = "card_expired"
    decline_code = "expired_card"
    refused = "pm_card_of_nobody"
    approved_then_charged = WALLET
    failing_after = "error_after_charge"
    silent = "silent_after_charge"
    accepted = "pending"
    accepted_then_declined = "pending_then_declined"
    capture_accepted = "capture_pending"
    capture_accepted_then_failed = "capture_pending_then_declined"
    refund_accepted_then_failed = "refund_pending_then_failed"
    webhook_id = "WH-1"
    other_webhooks = (
        event("CUSTOMER.DISPUTE.CREATED", {"dispute_id": "PP-1"}),
        event("PAYMENT.CAPTURE.COMPLETED", {"id": "C1", "status": "COMPLETED"}),
    )

    def __init__(self, provider: Provider, double: PayPalDouble, vanish: Callable[[], None]) -> None:
        self.provider = provider
        self._double = double
        self._vanish = vanish

    def method(self, _chosen: str) -> str:
        return WALLET

    async def choose(self, action: BuyerAction, chosen: str) -> None:
        await self._act(action, act="approve", funding=BALANCE if chosen == WALLET else chosen)

    def webhook(self, key: str, reference: str) -> bytes:
        amount = {"currency_code": "USD", "value": "10.00"}
        about = {"id": reference, "status": "COMPLETED", "amount": amount, "custom_id": key}
        return event("PAYMENT.CAPTURE.COMPLETED", about)

    def signed(self, body: bytes) -> Mapping[str, str]:
        return self._signed(body)

    def forgeries(self, body: bytes) -> Mapping[str, Mapping[str, str]]:
        now = system_clock()
        right = self._signed(body, at=now)
        return {
            "unsigned": {},
            "another key": self._signed(body, whose="somebody"),
            "another endpoint": self._signed(body, webhook_id="OTHERWEBHOOK01"),
            "another body": self._signed(body + b" "),
            "another time": right | {"PAYPAL-TRANSMISSION-TIME": self._double.books.time(now - 1000)},
            "another algorithm": right | {"PAYPAL-AUTH-ALGO": "SHA1withRSA"},
            "another host": right | {"PAYPAL-CERT-URL": f"https://paypal.example{CERTIFICATE}"},
            "too old": self._signed(body, at=system_clock() - 5 * DAY_MS),
            "from the future": self._signed(body, at=system_clock() + 600_000),
        }

    def _signed(
        self, body: bytes, *, webhook_id: str = WEBHOOK_ID, whose: str = "leaf", at: int | None = None
    ) -> dict[str, str]:
        books = self._double.books
        url = f"{books.url}{CERTIFICATE}"
        return dict(signed_headers(body, webhook_id, url, transmission_id="T1", time=books.time(at), whose=whose))

    async def approve(self, action: BuyerAction) -> None:
        await self._act(action, act="approve")

    async def decline(self, action: BuyerAction) -> None:
        await self._act(action, act="cancel")

    async def _act(self, action: BuyerAction, **form: str) -> None:
        assert (await visit(page_of(action), **form)).status_code == 303

    async def money_moved(self, checkout_id: str) -> list[int]:
        return self._double.books.ledger.charged_or_held().get(checkout_id, [])

    def vanish(self) -> None:
        self._vanish()


@asynccontextmanager
async def paypal(_folder: Path, _running: Running) -> AsyncIterator[Kit]:
    """The connector, before the double, which a thread serves."""
    with ExitStack() as stack:
        double = stack.enter_context(paypal_double())
        async with connected(double.books.url, timeout_seconds=PayPalKit.patience_seconds) as provider:
            yield PayPalKit(provider, double, stack.close)
