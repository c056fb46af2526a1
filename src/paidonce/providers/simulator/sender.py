"""Sends the simulated provider's webhooks: signed, retried until they are accepted, and with the planned faults."""

import asyncio
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import msgspec
import structlog

from paidonce.clock import Clock, format_instant
from paidonce.http_client import HttpClient, NoAnswer
from paidonce.providers.simulator.faults import LATE_MS_MAX, WebhookDraw, WebhookFault
from paidonce.providers.simulator.wire import Operation, WebhookBody
from paidonce.signing import read_secret, signed_headers

log = structlog.get_logger()

ANSWER_SECONDS_MAX: Final = 5.0
CONNECTIONS_MAX: Final = 32
RETRY_SECONDS: Final = (0.2, 0.5, 1, 2, 4, 8, 16, 32, 60)  # Two minutes in total, in which a service restarts.


class WebhookSender:
    """Sends webhooks to one URL. A webhook keeps its id in all tries, and each try has a new time and signature."""

    def __init__(self, url: str, secret: str, *, clock: Clock) -> None:
        parts = urlsplit(url)
        self._path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        self._key = read_secret(secret)
        self._clock = clock
        self._http = HttpClient(url, timeout_seconds=ANSWER_SECONDS_MAX, connections_max=CONNECTIONS_MAX)
        self._tasks: set[asyncio.Task[None]] = set()
        self._overtaken: list[tuple[str, bytes]] = []

    async def send_webhook(self, operation: Operation, draw: WebhookDraw) -> None:
        """Send the webhook for an operation. One with FIRST was delivered, or tried once, when this returns."""
        message = self._message(operation)
        match draw.webhook_fault:
            case WebhookFault.FIRST:
                if not await self._try(*message):
                    self._send(*message)
            case WebhookFault.OVERTAKEN:
                self._overtaken.append(message)
                self._start(self._release(message))
            case WebhookFault.LATE:
                self._send(*message, delay_seconds=draw.extent * LATE_MS_MAX / 1000)
            case WebhookFault.TWICE:
                self._send(*message)
                self._send(*message)
            case WebhookFault.ONCE:
                self._send(*message, then=self._overtaken)
                self._overtaken = []
            case WebhookFault.NEVER:
                pass

    async def close(self) -> None:
        """Stop sending. A service that waits for a webhook has to look up the outcome."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()

    def _message(self, operation: Operation) -> tuple[str, bytes]:
        body = WebhookBody(
            type=f"{operation.kind}.{operation.outcome}", timestamp=format_instant(self._clock()), data=operation
        )
        return f"msg_{operation.reference}_{operation.outcome}", msgspec.json.encode(body)

    def _send(
        self, message_id: str, body: bytes, *, delay_seconds: float = 0.0, then: list[tuple[str, bytes]] | None = None
    ) -> None:
        self._start(self._deliver(message_id, body, delay_seconds, then or []))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _release(self, message: tuple[str, bytes]) -> None:
        """Send a webhook that was to be overtaken, where no later webhook came."""
        await asyncio.sleep(LATE_MS_MAX / 1000)
        if message in self._overtaken:
            self._overtaken.remove(message)
            self._send(*message)

    async def _deliver(self, message_id: str, body: bytes, delay_seconds: float, then: list[tuple[str, bytes]]) -> None:
        await asyncio.sleep(delay_seconds)
        for pause in (*RETRY_SECONDS, None):
            if await self._try(message_id, body):
                break
            if pause is None:
                log.warning("webhook_given_up", webhook_id=message_id)
                break
            await asyncio.sleep(pause)
        for overtaken in then:
            self._send(*overtaken)

    async def _try(self, message_id: str, body: bytes) -> bool:
        headers = signed_headers(self._key, message_id=message_id, now=self._clock(), body=body)
        try:
            answer = await self._http.request("POST", self._path, body, headers=headers)
        except NoAnswer as failed:
            log.debug("webhook_not_accepted", webhook_id=message_id, cause=str(failed))
            return False
        taken = HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES
        if not taken:
            log.debug("webhook_not_accepted", webhook_id=message_id, status=answer.status)
        return taken
