"""Sends the double's events: signed as Stripe signs them, retried until they are accepted, with the planned faults."""

import asyncio
import hashlib
import hmac
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import msgspec

from paidonce.clock import Clock
from paidonce.http_client import HttpClient, NoAnswer
from paidonce.providers.simulator.faults import LATE_MS_MAX, FaultPlan, WebhookFault
from paidonce.proving.doubles.stripe.params import Json

ANSWER_SECONDS_MAX: Final = 5.0
RETRY_SECONDS: Final = (
    0.2,
    0.5,
    1,
    2,
    4,
    8,
    16,
    32,
    60,
)  # Stripe retries for three days; a test does not wait so long.


class WebhookTarget(msgspec.Struct, frozen=True):
    """A webhook endpoint and its secret."""

    url: str
    secret: str


def signature(secret: str, body: bytes, seconds: int) -> str:
    """Return the header ``Stripe-Signature``."""
    signed = str(seconds).encode() + b"." + body
    return f"t={seconds},v1={hmac.digest(secret.encode(), signed, hashlib.sha256).hex()}"


class EventSender:
    """Sends events to one URL. An event keeps its id in all tries, and each try has a new time and signature."""

    def __init__(self, target: WebhookTarget, plan: FaultPlan, *, clock: Clock) -> None:
        parts = urlsplit(target.url)
        self._path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        self._secret = target.secret
        self._plan = plan
        self._clock = clock
        self._http = HttpClient(target.url, timeout_seconds=ANSWER_SECONDS_MAX, connections_max=32)
        self._tasks: set[asyncio.Task[None]] = set()
        self._overtaken: list[bytes] = []

    async def send(self, event: Json) -> None:
        """Send an event. One with FIRST was tried once when this returns."""
        body = msgspec.json.encode(event)
        key = event["data"]["object"].get("metadata", {}).get("paidonce_key", event["id"])
        draw = self._plan.for_webhook(f"{key}/{event['type']}")
        match draw.webhook_fault:
            case WebhookFault.FIRST:
                if not await self._try(body):
                    self._start(self._deliver(body))
            case WebhookFault.OVERTAKEN:
                self._overtaken.append(body)
                self._start(self._release(body))
            case WebhookFault.LATE:
                self._start(self._deliver(body, draw.extent * LATE_MS_MAX / 1000))
            case WebhookFault.TWICE:
                self._start(self._deliver(body))
                self._start(self._deliver(body))
            case WebhookFault.ONCE:
                self._start(self._deliver(body, then=self._overtaken))
                self._overtaken = []
            case WebhookFault.NEVER:
                pass

    async def close(self) -> None:
        """Stop sending."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _release(self, body: bytes) -> None:
        """Send an event that was to be overtaken, where no later one came."""
        await asyncio.sleep(LATE_MS_MAX / 1000)
        if body in self._overtaken:
            self._overtaken.remove(body)
            self._start(self._deliver(body))

    async def _deliver(self, body: bytes, delay_seconds: float = 0.0, then: list[bytes] | None = None) -> None:
        await asyncio.sleep(delay_seconds)
        for pause in RETRY_SECONDS:
            if await self._try(body):
                break
            await asyncio.sleep(pause)
        for overtaken in then or ():
            self._start(self._deliver(overtaken))

    async def _try(self, body: bytes) -> bool:
        headers = {"Stripe-Signature": signature(self._secret, body, self._clock() // 1000)}
        try:
            answer = await self._http.request("POST", self._path, body, headers=headers)
        except NoAnswer:
            return False
        return HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES
