"""Writes, signs and sends the simulated provider's webhooks."""

from collections.abc import Mapping

import msgspec

from paidonce.clock import Clock, format_instant
from paidonce.providers.simulator.delivery import FaultyDelivery, Webhook
from paidonce.providers.simulator.faults import WebhookDraw
from paidonce.providers.simulator.wire import Operation, WebhookBody
from paidonce.signing import read_secret, signed_headers


class WebhookSender:
    """Sends webhooks to one URL. A webhook keeps its id in all tries, and each try has a new time and signature."""

    def __init__(self, url: str, secret: str, *, clock: Clock) -> None:
        self._url = url
        self._key = read_secret(secret)
        self._clock = clock
        self._delivery = FaultyDelivery()

    async def send_webhook(self, operation: Operation, draw: WebhookDraw) -> None:
        """Send the webhook for an operation. One with FIRST was delivered, or tried once, when this returns."""
        body = msgspec.json.encode(
            WebhookBody(
                type=f"{operation.kind}.{operation.outcome}", timestamp=format_instant(self._clock()), data=operation
            )
        )
        message_id = f"msg_{operation.reference}_{operation.outcome}"

        def headers() -> Mapping[str, str]:
            return signed_headers(self._key, message_id=message_id, now=self._clock(), body=body)

        await self._delivery.send(Webhook(self._url, body, headers), draw)

    async def close(self) -> None:
        """Stop sending. A service that waits for a webhook has to look up the outcome."""
        await self._delivery.close()
