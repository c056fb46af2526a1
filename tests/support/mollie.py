"""The connector for Mollie, before its double or another server."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, Final

import msgspec

from paidonce.clock import Clock, system_clock
from paidonce.providers.base import Connection, Provider
from paidonce.providers.mollie import CONNECTOR
from paidonce.providers.simulator.faults import FaultPlan
from paidonce.proving.doubles.mollie.server import API_KEY, MollieDouble, create_double
from paidonce.proving.doubles.webhooks import WebhookTarget
from tests.support.doubles import PATIENCE_SECONDS, served

WEBHOOK_SECRET: Final = "mollie-double-secret"
WEBHOOK_URL: Final = "https://pay.example.com/providers/mollie/pac_1/webhooks"
PAYMENT: Final[dict[str, Any]] = {
    "resource": "payment",
    "id": "tr_1234",
    "mode": "test",
    "status": "paid",
    "amount": {"currency": "USD", "value": "10.00"},
    "captureMode": "automatic",
    "metadata": {"paidonce_key": "att_1", "paidonce_checkout": "chk_1"},
}
CAPTURE: Final[dict[str, Any]] = {
    "resource": "capture",
    "id": "cpt_1",
    "mode": "test",
    "status": "succeeded",
    "amount": {"currency": "USD", "value": "10.00"},
    "paymentId": "tr_1234",
    "metadata": {"paidonce_key": "att_1"},
}
REFUND: Final[dict[str, Any]] = {
    "resource": "refund",
    "id": "re_1",
    "mode": "test",
    "status": "refunded",
    "amount": {"currency": "USD", "value": "10.00"},
    "paymentId": "tr_1234",
    "metadata": {"paidonce_key": "att_1"},
}


def mollie_double(
    *,
    clock: Clock = system_clock,
    plan: FaultPlan | None = None,
    target: WebhookTarget | None = None,
    port: int = 0,
) -> AbstractContextManager[MollieDouble]:
    """Serve a double until the block ends. It is read and set from the test's thread, between calls."""
    return served(lambda url: create_double(url=url, clock=clock, plan=plan, target=target), port=port)


@asynccontextmanager
async def connected(
    url: str,
    *,
    clock: Clock = system_clock,
    api_key: str = API_KEY,
    webhook_secret: str = WEBHOOK_SECRET,
    webhook_url: str = WEBHOOK_URL,
    timeout_seconds: float = PATIENCE_SECONDS,
) -> AsyncIterator[Provider]:
    """Connect to a server that speaks Mollie's API; an empty URL is Mollie's own host."""
    credentials = {"apiKey": api_key} | ({"webhookSecret": webhook_secret} if webhook_secret else {})
    provider = CONNECTOR.open(
        Connection(
            credentials=credentials,
            mode="test",
            url=url,
            webhook_url=webhook_url,
            timeout_seconds=timeout_seconds,
            clock=clock,
        )
    )
    try:
        yield provider
    finally:
        await provider.disconnect()


def signed(body: bytes, secret: str = WEBHOOK_SECRET) -> Mapping[str, str]:
    """Return the headers of a signed webhook."""
    return {"X-Mollie-Signature": f"sha256={hmac.digest(secret.encode(), body, hashlib.sha256).hex()}"}


def event(kind: str, about: Mapping[str, object] | None) -> bytes:
    """Write the body of a signed webhook; without the object it is about where that is None."""
    embedded = {} if about is None else {"_embedded": {"entity": dict(about)}}
    entity_id = "tr_1234" if about is None else about["id"]
    return msgspec.json.encode(
        {"resource": "event", "id": "event_1", "type": kind, "entityId": entity_id, **embedded, "_links": {}}
    )
