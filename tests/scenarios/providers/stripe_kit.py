"""Stripe, as its double has it."""

from collections.abc import Collection, Mapping
from typing import ClassVar, Final

import httpx
import msgspec

from paidonce.clock import Clock
from paidonce.providers.simulator.faults import FaultPlan
from paidonce.proving.doubles.stripe.server import StripeDouble, create_double
from tests.scenarios.providers.kits import Operation, ProviderKit, SentWebhook, press

SIGNATURE: Final = "stripe-signature"


class StripeKit(ProviderKit):
    """The hosted page is a Checkout Session, and a payment method is charged with a PaymentIntent."""

    name = "stripe"
    calls: ClassVar[Mapping[Operation, str]] = {
        "open": r"POST /v1/checkout/sessions",
        "charge": r"POST /v1/payment_intents/\w+/confirm",
        "capture": r"POST /v1/payment_intents/\w+/capture",
        "void": r"POST /v1/payment_intents/\w+/cancel",
        "refund": r"POST /v1/refunds",
    }
    succeeding = "pm_card_visa"
    declining = "pm_card_chargeDeclinedInsufficientFunds"
    authenticating = "pm_card_threeDSecure2Required"
    fails_refunds_late = True
    open_after_decline = True
    authenticates_on_page = True
    currency_not_taken = "CLF"  # It has four decimals.

    def credentials(self, name: str) -> dict[str, str]:
        return {"secretKey": f"sk_test_{name}", "webhookSecret": f"whsec_{name}"}

    def credential(self, credentials: Mapping[str, str]) -> str:
        return credentials["secretKey"]

    def webhook_secret(self, credentials: Mapping[str, str]) -> str:
        return credentials["webhookSecret"]

    def create_double(self, *, url: str, plan: FaultPlan, clock: Clock) -> StripeDouble:
        return create_double(url=url, clock=clock, plan=plan)

    def error_in_200(self) -> bytes:
        return msgspec.json.encode({"error": {"type": "api_error", "message": "Something went wrong."}})

    def forgeries(self, webhook: SentWebhook) -> Collection[SentWebhook]:
        unsigned = {name: value for name, value in webhook.headers.items() if name != SIGNATURE}
        return [
            SentWebhook(unsigned, webhook.body),
            SentWebhook(webhook.headers, webhook.body + b" "),
            SentWebhook({**webhook.headers, SIGNATURE: "t=1,v1=00"}, webhook.body),
        ]

    def approve(self, browser: httpx.Client, page: str) -> str:
        return press(browser, page, act="pay", method="pm_card_visa")

    def is_closed(self, browser: httpx.Client, page: str) -> bool:
        browser.post(page, data={"act": "pay", "method": "pm_card_visa"})
        return browser.get(page).status_code == httpx.codes.GONE

    def decline(self, browser: httpx.Client, page: str) -> None:
        press(browser, page, act="pay", method="pm_card_chargeDeclined")

    def go_back(self, browser: httpx.Client, page: str) -> str:
        return press(browser, page, act="cancel")

    def begin_authentication(self, browser: httpx.Client, page: str) -> str:
        return press(browser, page, act="pay", method="pm_card_threeDSecure2Required")

    def authenticate(self, browser: httpx.Client, bank: str, *, approving: bool) -> str:
        return press(browser, bank, act="approve" if approving else "refuse")
