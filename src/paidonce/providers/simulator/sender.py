"""Writes, signs and sends the simulated provider's webhooks."""

from collections.abc import Mapping

import msgspec

from paidonce.clock import Clock, format_instant
from paidonce.providers.simulator.delivery import FaultyDelivery, Webhook
from paidonce.providers.simulator.faults import WebhookDraw
from paidonce.providers.simulator.wire import DASHBOARD, Announced, DashboardWebhookBody, Operation, WebhookBody
from paidonce.signing import read_secret, signed_headers


class WebhookSender:
    """Sends webhooks to one URL. A webhook keeps its id in all tries, and each try has a new time and signature."""

    def __init__(self, url: str, secret: str, *, clock: Clock) -> None:
        self._url = url
        self._key = read_secret(secret)
        self._clock = clock
        self._delivery = FaultyDelivery()

    async def send_webhook(self, announced: Announced, draw: WebhookDraw) -> None:
        """Send the webhook for an operation. One with FIRST was delivered, or tried once, when this returns."""
        body = msgspec.json.encode(_body(announced, format_instant(self._clock())))
        message_id = f"msg_{announced.reference}_{announced.outcome}"

        def headers() -> Mapping[str, str]:
            return signed_headers(self._key, message_id=message_id, now=self._clock(), body=body)

        await self._delivery.send(Webhook(self._url, body, headers), draw)

    async def close(self) -> None:
        """Stop sending. A service that waits for a webhook has to look up the outcome."""
        await self._delivery.close()


def _body(announced: Announced, timestamp: str) -> WebhookBody | DashboardWebhookBody:
    if isinstance(announced, Operation):
        return WebhookBody(type=f"{announced.kind}.{announced.outcome}", timestamp=timestamp, data=announced)
    kind = f"{DASHBOARD}{announced.subject}.{announced.outcome}"
    return DashboardWebhookBody(type=kind, timestamp=timestamp, data=announced)
