"""The connector for Adyen before a server that speaks Adyen's API, and webhooks that are signed as Adyen signs them."""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Literal

import msgspec

from paidonce.clock import Clock, system_clock
from paidonce.providers.adyen import CONNECTOR
from paidonce.providers.base import Connection, Provider
from paidonce.providers.simulator.faults import FaultPlan
from paidonce.proving.doubles.adyen.server import API_KEY, MERCHANT_ACCOUNT, AdyenDouble, create_double
from paidonce.proving.doubles.webhooks import WebhookTarget
from tests.support.doubles import served

HMAC_KEY: Final = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
CREDENTIALS: Final = {"apiKey": API_KEY, "merchantAccount": MERCHANT_ACCOUNT, "hmacKey": HMAC_KEY}
PATIENCE_SECONDS: Final = 60.0

SIGNED: Final = (
    "pspReference",
    "originalReference",
    "merchantAccountCode",
    "merchantReference",
    "value",
    "currency",
    "eventCode",
    "success",
)


@asynccontextmanager
async def connected(
    url: str,
    *,
    clock: Clock = system_clock,
    credentials: Mapping[str, str] = CREDENTIALS,
    mode: Literal["test", "live"] = "test",
    timeout_seconds: float = PATIENCE_SECONDS,
) -> AsyncIterator[Provider]:
    """Connect to a server that speaks Adyen's API."""
    provider = CONNECTOR.open(
        Connection(credentials=credentials, mode=mode, url=url, timeout_seconds=timeout_seconds, clock=clock)
    )
    try:
        yield provider
    finally:
        await provider.disconnect()


def item(event: str = "AUTHORISATION", reference: str = "att_1.charge", **more: object) -> dict[str, Any]:
    """Write a notification about 10.00 USD, which is not signed yet."""
    fields: dict[str, Any] = {
        "amount": {"currency": "USD", "value": 1000},
        "eventCode": event,
        "eventDate": "2026-01-02T03:04:05+00:00",
        "merchantAccountCode": MERCHANT_ACCOUNT,
        "merchantReference": reference,
        "paymentMethod": "visa",
        "pspReference": "PSP1",
        "reason": "",
        "success": "true",
    }
    return fields | more


def signed(notification: Mapping[str, Any], hmac_key: str = HMAC_KEY) -> dict[str, Any]:
    """Sign a notification."""
    fields = {**notification, **notification["amount"]}
    text = ":".join(str(fields.get(name, "")) for name in SIGNED)
    digest = hmac.digest(bytes.fromhex(hmac_key), text.encode(), hashlib.sha256)
    added = {**notification.get("additionalData", {}), "hmacSignature": base64.b64encode(digest).decode()}
    return {**notification, "additionalData": added}


def webhook(*notifications: Mapping[str, Any], live: str = "false") -> bytes:
    """Write the body of a webhook."""
    items = [{"NotificationRequestItem": one} for one in notifications]
    return msgspec.json.encode({"live": live, "notificationItems": items})


@contextmanager
def adyen_double(
    *,
    clock: Clock = system_clock,
    plan: FaultPlan | None = None,
    target: WebhookTarget | None = None,
    port: int = 0,
) -> Iterator[AdyenDouble]:
    """Serve a double until the block ends. Its webhooks are signed with HMAC_KEY, also where nobody receives them."""
    account = target or WebhookTarget("", HMAC_KEY)
    with served(lambda url: create_double(url=url, clock=clock, plan=plan, target=account), port=port) as double:
        yield double
