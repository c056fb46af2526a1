"""The simulator in a process of its own, over HTTP: a Provider as one for a real payment provider would be.

Only what the provider says about our key is proof. Whatever else happens on the way, or comes back, is ``Unknown``.
"""

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import httpx
import msgspec
import structlog

from paidonce.clock import Clock
from paidonce.providers.base import (
    Capabilities,
    ChargeRequest,
    Declined,
    Evidence,
    Modification,
    NotFound,
    Notice,
    Unknown,
)
from paidonce.providers.simulator.notices import NoticeReader
from paidonce.providers.simulator.wire import ChangeBody, ChargeBody, Operation, evidence_of

log = structlog.get_logger()

NAME: Final = "simulator"
CONNECTIONS_MAX: Final = 256  # The pool looks at each for every call, and gets slow where it holds many more.


class ConnectorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the simulator is, and what its operator promises. ``webhook_secret`` is never shown."""

    url: str
    timeout_seconds: float
    webhook_secret: str = ""
    deduplicates: bool = True
    key_lifetime_seconds: int = 31_536_000


class SimulatorConnector:
    """A Provider over HTTP; ``close`` ends its connections."""

    name: Final = NAME

    def __init__(self, settings: ConnectorSettings, *, clock: Clock) -> None:
        self.capabilities: Final = Capabilities(
            deduplicates_by_key=settings.deduplicates,
            key_lifetime_seconds=settings.key_lifetime_seconds,
            can_be_asked_by_key=True,
            manual_capture=True,
            partial_refund=True,
            webhooks=bool(settings.webhook_secret),
        )
        self._notices = NoticeReader(settings.webhook_secret, clock=clock)
        self._timeout_seconds = settings.timeout_seconds
        # Further calls wait here: waiting in the pool, they would cost every other call time.
        self._places = asyncio.Semaphore(CONNECTIONS_MAX)
        self._http = httpx.AsyncClient(
            base_url=settings.url,
            timeout=None,  # noqa: S113 - each call has one of its own, for all that it waits for together
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX),
            trust_env=False,  # Where money moves, an environment variable does not choose the way.
        )

    async def close(self) -> None:
        """End the connections."""
        await self._http.aclose()

    async def charge(self, request: ChargeRequest) -> Evidence:
        """Charge or authorize."""
        wish = ChargeBody(
            key=request.key,
            amount=request.money.amount,
            currency=request.money.currency,
            payment_method=request.payment_method,
            capture=request.capture,
            checkout_id=request.checkout_id,
            merchant_id=request.merchant_id,
        )
        return await self._send("/charges", wish)

    async def capture(self, request: Modification) -> Evidence:
        """Take an authorized amount, or a part of it."""
        return await self._change("capture", request)

    async def void(self, request: Modification) -> Evidence:
        """Let go of an authorized amount."""
        return await self._change("void", request)

    async def refund(self, request: Modification) -> Evidence:
        """Give back what was charged, or a part of it."""
        return await self._change("refunds", request)

    async def look_up(self, key: str) -> Evidence:
        """Ask what became of the call with this key."""
        answer = await self._ask("GET", f"/operations/{quote(key, safe='')}")
        if isinstance(answer, Unknown):
            return answer
        return NotFound() if answer.status_code == httpx.codes.NOT_FOUND else _read(answer, key)

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        """Check the signature and read; None where it is not signed as it should be."""
        return self._notices.read(headers, body)

    async def _change(self, change: str, request: Modification) -> Evidence:
        wish = ChangeBody(key=request.key, amount=request.money.amount)
        return await self._send(f"/charges/{quote(request.charge_reference, safe='')}/{change}", wish)

    async def _send(self, path: str, wish: ChargeBody | ChangeBody) -> Evidence:
        answer = await self._ask("POST", path, msgspec.json.encode(wish))
        return answer if isinstance(answer, Unknown) else _read(answer, wish.key)

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> httpx.Response | Unknown:
        headers = {"content-type": "application/json"} if body is not None else {}
        try:
            async with asyncio.timeout(self._timeout_seconds), self._places:
                return await self._http.request(method, path, content=body, headers=headers)
        except TimeoutError:
            return Unknown("no answer in time")
        except httpx.HTTPError as error:
            # The connection was refused or it broke: before or after it was booked, who knows.
            return Unknown(f"the connection failed: {type(error).__name__}")


def _read(answer: httpx.Response, key: str) -> Evidence:
    """Tell what an answer proves about a key; what is not exactly as agreed proves nothing."""
    if answer.status_code not in (httpx.codes.OK, httpx.codes.PAYMENT_REQUIRED):
        return Unknown(f"the provider answered {answer.status_code}")
    try:
        operation = msgspec.json.decode(answer.content, type=Operation)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Unknown(f"the provider answered {answer.status_code} with something unreadable")
    if operation.key != key:
        log.error("provider_answered_about_another_key", key=key, answered=operation.key)
        return Unknown("the provider answered about another key")
    evidence = evidence_of(operation)
    if answer.status_code == httpx.codes.PAYMENT_REQUIRED and not isinstance(evidence, Declined):
        return Unknown("the provider contradicts itself")
    return evidence
