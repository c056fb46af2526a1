"""The Provider for a simulator in a separate process, over HTTP, as one for a real payment provider would be.

Only what the provider reports about our key is proof. Everything else that happens or is returned is ``Unknown``.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import msgspec
import structlog

from paidonce.clock import Clock
from paidonce.http_client import Answer, HttpClient, NoAnswer
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
CONNECTIONS_MAX: Final = 1024  # Further calls wait for a connection.


class ConnectorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The location of the simulator and its guarantees. ``webhook_secret`` is never printed."""

    url: str
    timeout_seconds: float
    webhook_secret: str = ""
    deduplicates: bool = True
    key_lifetime_seconds: int = 31_536_000


class SimulatorConnector:
    """A Provider over HTTP. ``close`` ends its connections."""

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
        self._http = HttpClient(settings.url, timeout_seconds=settings.timeout_seconds, connections_max=CONNECTIONS_MAX)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def charge(self, request: ChargeRequest) -> Evidence:
        """Charge or authorize."""
        body = ChargeBody(
            key=request.key,
            amount=request.money.amount,
            currency=request.money.currency,
            payment_method=request.payment_method,
            capture=request.capture,
            checkout_id=request.checkout_id,
            merchant_id=request.merchant_id,
        )
        return await self._send("/charges", body)

    async def capture(self, request: Modification) -> Evidence:
        """Capture an authorized amount, or a part of it."""
        return await self._change("capture", request)

    async def void(self, request: Modification) -> Evidence:
        """Release an authorized amount."""
        return await self._change("void", request)

    async def refund(self, request: Modification) -> Evidence:
        """Refund a charge, or a part of it."""
        return await self._change("refunds", request)

    async def look_up(self, key: str) -> Evidence:
        """Look up the outcome of the call with this key."""
        answer = await self._ask("GET", f"/operations/{quote(key, safe='')}")
        if isinstance(answer, Unknown):
            return answer
        return NotFound() if answer.status == HTTPStatus.NOT_FOUND else _read(answer, key)

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        """Check the signature and read the webhook; None where the signature is not valid."""
        return self._notices.read(headers, body)

    async def _change(self, change: str, request: Modification) -> Evidence:
        body = ChangeBody(key=request.key, amount=request.money.amount)
        return await self._send(f"/charges/{quote(request.charge_reference, safe='')}/{change}", body)

    async def _send(self, path: str, body: ChargeBody | ChangeBody) -> Evidence:
        answer = await self._ask("POST", path, body)
        return answer if isinstance(answer, Unknown) else _read(answer, body.key)

    async def _ask(self, method: str, path: str, body: object = None) -> Answer | Unknown:
        try:
            return await self._http.request(method, path, body)
        except NoAnswer as failed:
            # Also where nothing was sent: there is no evidence type for that, and a look-up resolves it.
            return Unknown(str(failed))


def _read(answer: Answer, key: str) -> Evidence:
    """Return what a response proves about a key. A response that is not as specified proves nothing."""
    if answer.status not in (HTTPStatus.OK, HTTPStatus.PAYMENT_REQUIRED):
        return Unknown(f"the provider answered {answer.status}")
    try:
        operation = msgspec.json.decode(answer.body, type=Operation)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Unknown(f"the provider answered {answer.status} with something unreadable")
    if operation.key != key:
        log.error("provider_answered_about_another_key", key=key, answered=operation.key)
        return Unknown("the provider answered about another key")
    evidence = evidence_of(operation)
    if answer.status == HTTPStatus.PAYMENT_REQUIRED and not isinstance(evidence, Declined):
        return Unknown("the provider contradicts itself")
    return evidence
