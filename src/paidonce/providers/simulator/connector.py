"""The Provider for a simulator in a separate process, over HTTP, as one for a real payment provider would be.

Only what the provider reports about our key is proof. Everything else that happens or is returned is ``Unknown``.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec
import structlog

from paidonce.clock import Clock
from paidonce.http_client import Answer, HttpClient, NoAnswer, NotSent
from paidonce.providers.base import Capabilities, ChargeRequest, Modification, OperationSupport
from paidonce.providers.evidence import Declined, Evidence, NotDone, NotFound, Notice, Unknown
from paidonce.providers.simulator.behaviour import opens_session
from paidonce.providers.simulator.notices import NoticeReader
from paidonce.providers.simulator.wire import (
    ChangeBody,
    ChargeBody,
    Operation,
    SessionBody,
    SessionReply,
    charge_body,
    evidence_of,
    session_body,
    session_evidence,
)

log = structlog.get_logger()

NAME: Final = "simulator"
CONNECTIONS_MAX: Final = 1024  # Further calls wait for a connection.

T = TypeVar("T")


class ConnectorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The location of the simulator and its guarantees. ``webhook_secret`` is never printed."""

    url: str
    timeout_seconds: float
    webhook_secret: str = ""
    deduplicates: bool = True
    key_lifetime_seconds: int = 31_536_000


class SimulatorConnector:
    """A Provider over HTTP."""

    name: Final = NAME

    def __init__(self, settings: ConnectorSettings, *, clock: Clock) -> None:
        support = OperationSupport(
            key_lifetime_seconds=settings.key_lifetime_seconds if settings.deduplicates else 0, can_be_looked_up=True
        )
        self.capabilities: Final = Capabilities(
            charge=support,
            capture=support,
            void=support,
            refund=support,
            manual_capture=True,
            partial_refund=True,
            webhooks=bool(settings.webhook_secret),
        )
        self._notices = NoticeReader(settings.webhook_secret, clock=clock)
        self._http = HttpClient(settings.url, timeout_seconds=settings.timeout_seconds, connections_max=CONNECTIONS_MAX)

    def opens_session(self, payment_method: str) -> bool:
        """Tell whether this test payment method is paid through a session."""
        return opens_session(payment_method)

    async def open(self, request: ChargeRequest) -> Evidence:
        """Open a session."""
        return await self._session("POST", "/sessions", request, session_body(request))

    async def charge(self, request: ChargeRequest) -> Evidence:
        """Charge or authorize, directly or through a session."""
        if request.session_reference is not None:
            return await self._session("POST", f"{_session_path(request)}/charge", request)
        return await self._send("/charges", charge_body(request))

    async def close(self, request: ChargeRequest) -> Evidence:
        """Close a session."""
        return await self._session("POST", f"{_session_path(request)}/close", request)

    async def capture(self, request: Modification) -> Evidence:
        """Capture an authorized amount, or a part of it."""
        return await self._change("capture", request)

    async def void(self, request: Modification) -> Evidence:
        """Release an authorized amount."""
        return await self._change("void", request)

    async def refund(self, request: Modification) -> Evidence:
        """Refund a charge, or a part of it."""
        return await self._change("refunds", request)

    async def look_up(self, request: ChargeRequest | Modification) -> Evidence:
        """Look up a session, or the outcome of the call with this key."""
        if isinstance(request, ChargeRequest) and request.session_reference is not None:
            return await self._session("GET", _session_path(request), request)
        answer = await self._ask("GET", f"/operations/{quote(request.key, safe='')}")
        if not isinstance(answer, Answer):
            return answer
        return NotFound() if answer.status == HTTPStatus.NOT_FOUND else _read(answer, request.key)

    async def check(self) -> Sequence[str]:
        """Find nothing wrong: there are no credentials."""
        return ()

    async def disconnect(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice] | None:
        """Check the signature and read the webhook; None where the signature is not valid."""
        notice = self._notices.read(headers, body)
        return None if notice is None else [notice]

    async def _change(self, change: str, request: Modification) -> Evidence:
        body = ChangeBody(key=request.key, amount=request.money.amount)
        return await self._send(f"/charges/{quote(request.charge_reference, safe='')}/{change}", body)

    async def _send(self, path: str, body: ChargeBody | ChangeBody) -> Evidence:
        answer = await self._ask("POST", path, body)
        return _read(answer, body.key) if isinstance(answer, Answer) else answer

    async def _session(
        self, method: str, path: str, request: ChargeRequest, body: SessionBody | None = None
    ) -> Evidence:
        answer = await self._ask(method, path, body)
        if not isinstance(answer, Answer):
            return answer
        is_missing = method == "GET" and answer.status == HTTPStatus.NOT_FOUND
        return NotFound() if is_missing else _read_session(answer, request)

    async def _ask(self, method: str, path: str, body: object = None) -> Answer | Evidence:
        try:
            return await self._http.request(method, path, body)
        except NotSent as failed:
            return NotDone(str(failed), retryable=True)
        except NoAnswer as failed:
            return Unknown(str(failed))


def _session_path(request: ChargeRequest) -> str:
    assert request.session_reference is not None, "it is committed before the call"
    return f"/sessions/{quote(request.session_reference, safe='')}"


def _read(answer: Answer, key: str) -> Evidence:
    """Return what a response proves about a key. A response that is not as specified proves nothing."""
    if answer.status not in (HTTPStatus.OK, HTTPStatus.PAYMENT_REQUIRED):
        return _failed(answer)
    operation = _decoded(answer, Operation)
    if operation is None:
        return Unknown(f"the provider answered {answer.status} with something unreadable")
    if operation.key != key:
        return _about_another(key, operation.key)
    evidence = evidence_of(operation)
    if answer.status == HTTPStatus.PAYMENT_REQUIRED and not isinstance(evidence, Declined):
        return Unknown("the provider contradicts itself")
    return evidence


def _read_session(answer: Answer, request: ChargeRequest) -> Evidence:
    """Return what a response proves about the session that was opened, or is looked up, with a request."""
    if answer.status != HTTPStatus.OK:
        return _failed(answer)
    reply = _decoded(answer, SessionReply)
    if reply is None:
        return Unknown("the provider answered 200 with something unreadable")
    key = request.key
    if reply.key != key or (reply.operation is not None and reply.operation.key != key):
        return _about_another(key, reply.key)
    if request.session_reference not in (None, reply.reference):
        return Unknown("the provider answered about another session")
    return session_evidence(reply)


def _failed(answer: Answer) -> Evidence:
    if answer.status == HTTPStatus.BAD_REQUEST:
        return NotDone("the provider refused the call")
    return Unknown(f"the provider answered {answer.status}", replayed="Idempotent-Replayed" in answer.headers)


def _about_another(key: str, answered: str) -> Evidence:
    log.error("provider_answered_about_another_key", key=key, answered=answered)
    return Unknown("the provider answered about another key")


def _decoded(answer: Answer, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
