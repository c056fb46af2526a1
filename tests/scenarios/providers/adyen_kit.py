"""Adyen, as its double has it."""

import hashlib
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import httpx
import msgspec

from paidonce.clock import Clock
from paidonce.providers.simulator.faults import FaultPlan
from paidonce.proving.doubles.adyen.server import MERCHANT_ACCOUNT, AdyenDouble, create_double
from tests.scenarios.providers.kits import Operation, ProviderKit, SentWebhook, press


class AdyenKit(ProviderKit):
    """The page is that of a payment link, and a stored payment method is charged without the buyer."""

    name = "adyen"
    calls: ClassVar[Mapping[Operation, str]] = {
        "open": r"POST /v72/paymentLinks",
        "charge": r"POST /v72/payments",
        "capture": r"POST /v72/payments/\w+/captures",
        "void": r"POST /v72/payments/\w+/cancels",
        "refund": r"POST /v72/payments/\w+/refunds",
    }
    succeeding = "spm_APPROVED_shopper-1"
    declining = "spm_NOBALANCE_shopper-1"
    fails_refunds_late = True
    open_after_decline = True
    authenticates_on_page = True
    needs_webhooks = True
    storing_error = "spm_ERRORSTORED_shopper-1"

    def credentials(self, name: str) -> dict[str, str]:
        hmac_key = hashlib.sha256(name.encode()).hexdigest()
        return {"apiKey": f"AQE_of_{name}", "merchantAccount": MERCHANT_ACCOUNT, "hmacKey": hmac_key}

    def credential(self, credentials: Mapping[str, str]) -> str:
        return credentials["apiKey"]

    def webhook_secret(self, credentials: Mapping[str, str]) -> str:
        return credentials["hmacKey"]

    def create_double(self, *, url: str, plan: FaultPlan, clock: Clock) -> AdyenDouble:
        return create_double(url=url, clock=clock, plan=plan)

    def error_in_200(self) -> bytes:
        return b'{"status":500,"errorCode":"000","message":"An error occurred.","errorType":"internal"}'

    def forgeries(self, webhook: SentWebhook) -> Collection[SentWebhook]:
        changes: list[dict[str, Any]] = [
            {"additionalData": {}},
            {"additionalData": {"hmacSignature": "AAAA"}},
            {"amount": {"value": 1, "currency": "EUR"}},
            {"pspReference": "another"},
        ]
        forged = []
        for change in changes:
            body = msgspec.json.decode(webhook.body)
            body["notificationItems"][0]["NotificationRequestItem"] |= change
            forged.append(SentWebhook(webhook.headers, msgspec.json.encode(body)))
        return forged

    def approve(self, browser: httpx.Client, page: str) -> str:
        return press(browser, page, act="pay", method="approved")

    def is_closed(self, browser: httpx.Client, page: str) -> bool:
        press(browser, page, act="pay", method="approved")
        return browser.get(page).status_code == httpx.codes.GONE

    def decline(self, browser: httpx.Client, page: str) -> None:
        press(browser, page, act="pay", method="refused")

    def approve_with_failing_capture(self, browser: httpx.Client, page: str) -> str:
        return press(browser, page, act="pay", method="capture_fails")

    def go_back(self, browser: httpx.Client, page: str) -> str:
        return press(browser, page, act="cancel")

    def begin_authentication(self, browser: httpx.Client, page: str) -> str:
        return press(browser, page, act="pay", method="3ds")

    def authenticate(self, browser: httpx.Client, bank: str, *, approving: bool) -> str:
        return press(browser, bank, act="approve" if approving else "refuse")
