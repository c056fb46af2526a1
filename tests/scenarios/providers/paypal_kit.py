"""PayPal, as its double has it."""

import base64
from collections.abc import Collection, Mapping
from typing import ClassVar, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec

from paidonce.clock import Clock
from paidonce.providers.simulator.faults import FaultPlan
from paidonce.proving.doubles.paypal.server import CLIENT_SECRET, PayPalDouble, create_double
from tests.scenarios.providers.kits import Operation, ProviderKit, SentWebhook, press

SIGNATURE: Final = "paypal-transmission-sig"


class PayPalKit(ProviderKit):
    """The page is that of an order. The buyer's approval moves no money: the order is charged by a call afterwards."""

    name = "paypal"
    calls: ClassVar[Mapping[Operation, str]] = {
        "open": r"POST /v2/checkout/orders",
        "charge": r"POST /v2/checkout/orders/\w+/(capture|authorize)",
        "capture": r"POST /v2/payments/authorizations/\w+/capture",
        "void": r"POST /v2/payments/authorizations/\w+/void",
        "refund": r"POST /v2/payments/captures/\w+/refund",
    }
    webhook_proves = False  # It tells that the buyer has approved.
    currency_not_taken = "ISK"

    def __init__(self) -> None:
        self._double: PayPalDouble | None = None

    def credentials(self, name: str) -> dict[str, str]:
        return {"clientId": f"client-id-of-{name}", "clientSecret": CLIENT_SECRET, "webhookId": f"WH{name}"}

    def credential(self, credentials: Mapping[str, str]) -> str:
        return credentials["clientId"]

    def webhook_secret(self, credentials: Mapping[str, str]) -> str:
        return credentials["webhookId"]

    def create_double(self, *, url: str, plan: FaultPlan, clock: Clock) -> PayPalDouble:
        self._double = create_double(url=url, clock=clock, plan=plan)
        return self._double

    def error_in_200(self) -> bytes:
        return msgspec.json.encode({"name": "INTERNAL_SERVER_ERROR", "message": "Something went wrong."})

    def forgeries(self, webhook: SentWebhook) -> Collection[SentWebhook]:
        unsigned = {name: value for name, value in webhook.headers.items() if name != SIGNATURE}
        elsewhere = {**webhook.headers, "paypal-cert-url": "https://elsewhere.example/v1/notifications/certs/CERT-1"}
        return [
            SentWebhook(unsigned, webhook.body),
            SentWebhook(webhook.headers, webhook.body + b" "),
            SentWebhook({**webhook.headers, SIGNATURE: base64.b64encode(bytes(256)).decode()}, webhook.body),
            SentWebhook(elsewhere, webhook.body),
        ]

    def is_from(self, headers: Mapping[str, str], credentials: Mapping[str, str]) -> bool:
        basic = f"{credentials['clientId']}:{credentials['clientSecret']}"
        return headers.get("authorization") == f"Basic {base64.b64encode(basic.encode()).decode()}"

    def approve(self, browser: httpx.Client, page: str) -> str:
        return press(browser, page, act="approve")

    def is_closed(self, browser: httpx.Client, page: str) -> bool:
        """PayPal lets a buyer approve an order that was closed; it cannot be charged any more."""
        assert self._double is not None, "the provider is there"
        press(browser, page, act="approve")
        (order_id,) = parse_qs(urlsplit(page).query)["token"]
        order = self._double.books.objects["order"][order_id]
        return order["status"] == "APPROVED" and "." in order["purchase_units"][0]["custom_id"]

    def decline(self, browser: httpx.Client, page: str) -> None:
        press(browser, page, act="approve", funding="instrument_declined")

    def go_back(self, browser: httpx.Client, page: str) -> str:
        return press(browser, page, act="cancel")
