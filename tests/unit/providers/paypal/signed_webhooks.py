"""PayPal's webhooks, signed with a certificate that a server of the test has."""

from typing import Any, Final

from paidonce.providers.base import Provider
from paidonce.providers.evidence import (
    Evidence,
    ExternalChange,
)
from paidonce.proving.doubles.paypal.signing import signed_headers
from tests.support.paypal import WEBHOOK_ID, event
from tests.support.raw_server import RawServer

TIME: Final = "2026-09-21T14:13:20Z"  # That of NOW.
PATH: Final = "/v1/notifications/certs/CERT-1"
MONEY: Final = {"currency_code": "USD", "value": "10.00"}
CAPTURE: Final[dict[str, Any]] = {"id": "C1", "status": "COMPLETED", "amount": MONEY, "custom_id": "att_1"}
BODY: Final = event("PAYMENT.CAPTURE.COMPLETED", CAPTURE)


def signed(url: str, body: bytes = BODY, *, time: str = TIME, **changed: str) -> dict[str, str]:
    whose, webhook_id = changed.pop("whose", "leaf"), changed.pop("webhook_id", WEBHOOK_ID)
    made = signed_headers(body, webhook_id, f"{url}{PATH}", transmission_id="T1", time=time, whose=whose)
    return {**made, **{name.replace("_", "-"): value for name, value in changed.items()}}


async def read(
    connector: Provider, server: RawServer, body: bytes
) -> tuple[str | None, Evidence | ExternalChange | None, str | None]:
    notices = await connector.read_webhook(signed(server.url, body), body)
    assert notices is not None
    (notice,) = notices
    assert notice.id == "WH-1"
    return notice.key, notice.evidence, notice.reference
