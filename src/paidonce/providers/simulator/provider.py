"""The simulator in this process: a Provider without a network, whose books outlive the process."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Final
from urllib.parse import urljoin

from paidonce.clock import Clock, system_clock
from paidonce.database.batcher import Batcher
from paidonce.errors import DatabaseUnavailable, Overloaded
from paidonce.providers.base import Capabilities, ChargeRequest, Modification, OperationSupport
from paidonce.providers.evidence import Evidence, NotDone, NotFound, Notice, Unknown
from paidonce.providers.simulator.behaviour import opens_session
from paidonce.providers.simulator.calls import KEY_LIFETIME_SECONDS, LostResponse, Rules
from paidonce.providers.simulator.notices import NoticeReader
from paidonce.providers.simulator.session_books import SessionState, SessionStep
from paidonce.providers.simulator.simulation import FoundSession, Refusal, Reply, SessionResult, Simulation
from paidonce.providers.simulator.wire import (
    ChangeBody,
    Operation,
    charge_body,
    evidence_of,
    session_body,
    session_evidence,
    session_reply,
)

NAME: Final = "simulator"
SUPPORT: Final = OperationSupport(key_lifetime_seconds=KEY_LIFETIME_SECONDS, can_be_looked_up=True)


class Simulator:
    """A Provider. ``books`` commits each operation before it is answered. ``latency_ms`` is the total duration of a
    call. ``simulation`` is what its page acts on.
    """

    name: Final = NAME
    capabilities: Final = Capabilities(
        charge=SUPPORT,
        capture=SUPPORT,
        void=SUPPORT,
        refund=SUPPORT,
        manual_capture=True,
        partial_refund=True,
        webhooks=False,  # Nothing in this process sends webhooks. A signed one is accepted all the same.
    )

    def __init__(
        self, books: Batcher, *, latency_ms: int, webhook_secret: str = "", clock: Clock = system_clock
    ) -> None:
        self.simulation: Final = Simulation(books, Rules(latency_ms=latency_ms), clock=clock)
        self._notices = NoticeReader(webhook_secret, clock=clock)

    def opens_session(self, payment_method: str) -> bool:
        """Tell whether this test payment method is paid through a session."""
        return opens_session(payment_method)

    async def open(self, request: ChargeRequest) -> Evidence:
        """Open a session, whose page is in the service itself: beside the return URL."""
        return await self._session(self.simulation.open_session(session_body(request)))

    async def charge(self, request: ChargeRequest) -> Evidence:
        """Charge or authorize, directly or through a session."""
        if request.session_reference is not None:
            return await self._session(self.simulation.step_session(request.session_reference, SessionStep.CHARGE))
        return await self._operation(self.simulation.charge(charge_body(request)))

    async def close(self, request: ChargeRequest) -> Evidence:
        """Close a session."""
        assert request.session_reference is not None, "what is closed was opened"
        return await self._session(self.simulation.step_session(request.session_reference, SessionStep.CLOSE))

    async def capture(self, request: Modification) -> Evidence:
        """Capture an authorized amount, or a part of it."""
        return await self._change("CAPTURE", request)

    async def void(self, request: Modification) -> Evidence:
        """Release an authorized amount."""
        return await self._change("VOID", request)

    async def refund(self, request: Modification) -> Evidence:
        """Refund a charge, or a part of it."""
        return await self._change("REFUND", request)

    async def look_up(self, request: ChargeRequest | Modification) -> Evidence:
        """Look up a session, or a key, in the books."""
        if isinstance(request, ChargeRequest) and request.session_reference is not None:
            return await self._session(self.simulation.session(request.session_reference))
        return await self._operation(self.simulation.look_up(request.key))

    async def check(self) -> Sequence[str]:
        """Find nothing wrong: there are no credentials."""
        return ()

    async def disconnect(self) -> None:
        """Do nothing: there are no connections."""

    async def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice] | None:
        """Check the signature and read the webhook; None where the signature is not valid."""
        notice = self._notices.read(headers, body)
        return None if notice is None else [notice]

    async def _change(self, kind: str, request: Modification) -> Evidence:
        body = ChangeBody(key=request.key, amount=request.money.amount)
        return await self._operation(self.simulation.change(kind, request.charge_reference, body))

    async def _operation(self, call: Awaitable[Reply | None]) -> Evidence:
        try:
            reply = await call
        except (DatabaseUnavailable, Overloaded):
            return BOOKS_UNAVAILABLE
        if reply is None:
            return NotFound()
        return evidence_of(reply) if isinstance(reply, Operation) else await _without_result(reply)

    async def _session(self, call: Awaitable[SessionResult | FoundSession]) -> Evidence:
        try:
            reply = await call
        except (DatabaseUnavailable, Overloaded):
            return BOOKS_UNAVAILABLE
        if reply is None:
            return NotFound()
        if not isinstance(reply, SessionState):
            return await _without_result(reply)
        page = urljoin(reply.session.return_url, f"../simulator/pay/{reply.session.reference}")
        return session_evidence(session_reply(reply, url=page, now=self.simulation.now()))


BOOKS_UNAVAILABLE: Final = Unknown("the provider's books cannot be written")


async def _without_result(reply: LostResponse | Refusal) -> Evidence:
    """Return what a missing response proves. Where none comes, only the time-out of the caller ends the wait."""
    if isinstance(reply, Refusal):
        return NotDone(reply.value)
    if reply is LostResponse.SILENCE:
        await asyncio.Event().wait()  # Never set.
    return Unknown(reply.value, replayed=reply is LostResponse.STORED_ERROR)
