"""Delivers webhooks as a provider does on good and bad days: retried until they are accepted, and with planned faults.

The simulator and the doubles of real providers share it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import msgspec
import structlog

from paidonce.http_client import HttpClient, NoAnswer
from paidonce.providers.simulator.faults import LATE_MS_MAX, WebhookDraw, WebhookFault

log = structlog.get_logger()

ANSWER_SECONDS_MAX: Final = 5.0
CONNECTIONS_MAX: Final = 32
RETRY_SECONDS: Final = (0.2, 0.5, 1, 2, 4, 8, 16, 32, 60)  # Two minutes in total, in which a service restarts.


class Webhook(msgspec.Struct, frozen=True, eq=False):
    """A webhook. ``headers`` returns those of one try, with its time and signature."""

    url: str
    body: bytes
    headers: Callable[[], Mapping[str, str]]


class FaultyDelivery:
    """Delivers webhooks. Create it inside the event loop that uses it."""

    def __init__(self) -> None:
        self._clients: dict[str, HttpClient] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._overtaken: list[Webhook] = []

    async def send(self, webhook: Webhook, draw: WebhookDraw) -> None:
        """Send a webhook. One with FIRST was delivered, or tried once, when this returns."""
        match draw.webhook_fault:
            case WebhookFault.FIRST:
                if not await self._try(webhook):
                    self._start(self._deliver(webhook))
            case WebhookFault.OVERTAKEN:
                self._overtaken.append(webhook)
                self._start(self._release(webhook))
            case WebhookFault.LATE:
                self._start(self._deliver(webhook, delay_seconds=draw.extent * LATE_MS_MAX / 1000))
            case WebhookFault.TWICE:
                self._start(self._deliver(webhook))
                self._start(self._deliver(webhook))
            case WebhookFault.ONCE:
                self._start(self._deliver(webhook, then=self._overtaken))
                self._overtaken = []
            case WebhookFault.NEVER:
                pass

    async def close(self) -> None:
        """Stop sending. A service that waits for a webhook has to look up the outcome."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self._clients.values():
            await client.close()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _release(self, webhook: Webhook) -> None:
        """Send a webhook that was to be overtaken, where no later webhook came."""
        await asyncio.sleep(LATE_MS_MAX / 1000)
        if webhook in self._overtaken:
            self._overtaken.remove(webhook)
            self._start(self._deliver(webhook))

    async def _deliver(
        self, webhook: Webhook, *, delay_seconds: float = 0.0, then: list[Webhook] | None = None
    ) -> None:
        await asyncio.sleep(delay_seconds)
        for pause in (*RETRY_SECONDS, None):
            if await self._try(webhook):
                break
            if pause is None:
                log.warning("webhook_given_up", url=webhook.url)
                break
            await asyncio.sleep(pause)
        for overtaken in then or ():
            self._start(self._deliver(overtaken))

    async def _try(self, webhook: Webhook) -> bool:
        parts = urlsplit(webhook.url)
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        try:
            answer = await self._client(webhook.url).request("POST", path, webhook.body, headers=webhook.headers())
        except NoAnswer as failed:
            log.debug("webhook_not_accepted", url=webhook.url, cause=str(failed))
            return False
        taken = HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES
        if not taken:
            log.debug("webhook_not_accepted", url=webhook.url, status=answer.status)
        return taken

    def _client(self, url: str) -> HttpClient:
        origin = urlsplit(url).netloc
        if origin not in self._clients:
            self._clients[origin] = HttpClient(url, timeout_seconds=ANSWER_SECONDS_MAX, connections_max=CONNECTIONS_MAX)
        return self._clients[origin]
