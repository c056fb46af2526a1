"""Mollie, as its double has it."""

from collections.abc import Collection, Mapping
from typing import ClassVar, Final

import httpx
import msgspec

from paidonce.clock import Clock
from paidonce.providers.simulator.faults import FaultPlan
from paidonce.proving.doubles.mollie.server import MollieDouble, create_double
from tests.scenarios.providers.kits import Operation, ProviderKit, SentWebhook, press

SIGNATURE: Final = "x-mollie-signature"
KEY_LENGTH: Final = 32


class MollieKit(ProviderKit):
    """Every payment has a page. A buyer who goes back cancels the payment."""

    name = "mollie"
    calls: ClassVar[Mapping[Operation, str]] = {
        "open": r"POST /v2/payments",
        "capture": r"POST /v2/payments/\w+/captures",
        "void": r"POST /v2/payments/\w+/release-authorization",
        "refund": r"POST /v2/payments/\w+/refunds",
    }
    open_after_going_back = False
    currency_not_taken = "KWD"

    def credentials(self, name: str) -> dict[str, str]:
        return {"apiKey": f"test_{(name * KEY_LENGTH)[:KEY_LENGTH]}", "webhookSecret": f"secret-{name}"}

    def credential(self, credentials: Mapping[str, str]) -> str:
        return credentials["apiKey"]

    def webhook_secret(self, credentials: Mapping[str, str]) -> str:
        return credentials["webhookSecret"]

    def create_double(self, *, url: str, plan: FaultPlan, clock: Clock) -> MollieDouble:
        return create_double(url=url, clock=clock, plan=plan)

    def error_in_200(self) -> bytes:
        return msgspec.json.encode({"status": 500, "title": "Internal Server Error", "detail": "Try again."})

    def forgeries(self, webhook: SentWebhook) -> Collection[SentWebhook]:
        unsigned = {name: value for name, value in webhook.headers.items() if name != SIGNATURE}
        return [
            SentWebhook(unsigned, webhook.body),
            SentWebhook(webhook.headers, webhook.body + b" "),
            SentWebhook({**webhook.headers, SIGNATURE: "sha256=00"}, webhook.body),
        ]

    def approve(self, browser: httpx.Client, page: str) -> str:
        return press(browser, page, act="pay")

    def is_closed(self, browser: httpx.Client, page: str) -> bool:
        browser.post(page, data={"act": "pay"})
        return browser.get(page).status_code == httpx.codes.GONE

    def decline(self, browser: httpx.Client, page: str) -> None:
        press(browser, page, act="fail", reason="insufficient_funds")

    def go_back(self, browser: httpx.Client, page: str) -> str:
        return press(browser, page, act="cancel")
