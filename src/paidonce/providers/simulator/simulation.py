"""What a call to the simulated provider does, and what is booked."""

import asyncio
from enum import Enum
from typing import TypeAlias

from paidonce.clock import Clock, Instant, parse_instant, system_clock
from paidonce.database.batcher import Batcher
from paidonce.providers.simulator.behaviour import REFUSED, REPLAYED_ERROR, Behaviour, behaviour_of, fails_late
from paidonce.providers.simulator.books import (
    BookChange,
    BookCharge,
    Booked,
    ChargePage,
    book_changes,
    book_charges,
    book_late_success,
    find_operations,
    list_charges,
)
from paidonce.providers.simulator.calls import REPLIES, Calls, LostResponse, Rules, SendWebhook, send_nothing
from paidonce.providers.simulator.dashboard_books import (
    ChangeInDashboard,
    CloseDispute,
    change_in_dashboard,
    close_disputes,
    fail_refunds,
)
from paidonce.providers.simulator.faults import BEFORE, SLOW_MS_MAX, Fault, WebhookDraw, WebhookFault
from paidonce.providers.simulator.session_books import (
    BookSession,
    SessionState,
    SessionStatus,
    SessionStep,
    StepSession,
    booked_by,
    open_sessions,
    read_sessions,
    step_sessions,
)
from paidonce.providers.simulator.wire import (
    Announced,
    ChangeBody,
    ChargeBody,
    ChargeLine,
    Operation,
    SessionBody,
    approval_of,
    line_of,
    operation_of,
)


class Refusal(Enum):
    """A call that the provider refuses; nothing is booked."""

    PAYMENT_METHOD = "the payment method is refused"
    SESSION = "there is no such session"


Reply: TypeAlias = Operation | LostResponse | Refusal
SessionResult: TypeAlias = SessionState | LostResponse | Refusal
FoundSession: TypeAlias = SessionState | LostResponse | None


class Simulation:
    """The provider. ``books`` commits each operation before it is answered. ``counts`` counts the faults."""

    def __init__(
        self, books: Batcher, rules: Rules, *, clock: Clock = system_clock, send_webhook: SendWebhook = send_nothing
    ) -> None:
        self._books = books
        self._rules = rules
        self._clock = clock
        self._calls = Calls(books, rules, send_webhook=send_webhook)
        self.counts = self._calls.counts

    def now(self) -> Instant:
        """Return the provider's time."""
        return self._clock()

    async def charge(self, body: ChargeBody) -> Reply:
        """Charge, or authorize."""
        if body.payment_method == REFUSED:
            return Refusal.PAYMENT_METHOD
        behaviour = behaviour_of(body.payment_method, body.amount)

        async def book(hidden_ms: int) -> Booked:
            return await self._books.submit(book_charges, self._new_charge(body, behaviour, hidden_ms))

        booked = await self._calls.call(body.key, behaviour, book, self._announced)
        if body.payment_method == REPLAYED_ERROR and isinstance(booked, Booked):
            return LostResponse.ERROR if booked.first else LostResponse.STORED_ERROR
        return self._replied(booked)

    async def change(self, kind: str, charge_reference: str, body: ChangeBody) -> Reply:
        """CAPTURE, VOID or REFUND a charge."""

        async def book(_hidden_ms: int) -> Booked:
            return await self._books.submit(
                book_changes,
                BookChange(
                    key=body.key,
                    charge_reference=charge_reference,
                    kind=kind,
                    amount=body.amount,
                    key_lifetime_ms=self._rules.key_lifetime_ms,
                ),
            )

        booked = await self._calls.call(body.key, Behaviour(), book, self._announced)
        return self._replied(booked)

    async def look_up(self, key: str) -> Reply | None:
        """Look up a key in the books; None where it is not found, or not visible yet."""
        draw = await self._draw_for_lookup(key)
        if isinstance(draw, LostResponse):
            return draw
        found = await self._books.submit(find_operations, key)
        return None if found is None or draw is Fault.HIDDEN else operation_of(found, now=self.now())

    async def open_session(self, body: SessionBody) -> SessionResult:
        """Open a session."""
        request = BookSession(
            key=body.key,
            checkout_id=body.checkout_id,
            merchant_id=body.merchant_id,
            amount=body.amount,
            currency=body.currency,
            payment_method=body.payment_method,
            capture=body.capture,
            description=body.description,
            return_url=body.return_url,
            expires_at=parse_instant(body.expires_at),
            key_lifetime_ms=self._rules.key_lifetime_ms,
        )

        async def book(_hidden_ms: int) -> SessionState:
            return await self._books.submit(open_sessions, request)

        return await self._calls.call(f"{body.key}:open", Behaviour(), book, lambda _: None)

    async def step_session(self, reference: str, step: SessionStep) -> SessionResult:
        """Charge or close a session, for the merchant."""

        async def book(_hidden_ms: int) -> SessionState | None:
            return await self._books.submit(step_sessions, StepSession(reference, step))

        found = await self._calls.call(f"{reference}:{step}", Behaviour(), book, self._announced_step)
        return Refusal.SESSION if found is None else found

    async def session(self, reference: str) -> FoundSession:
        """Look up a session, for the merchant; None where it is not found."""
        draw = await self._draw_for_lookup(reference)
        if isinstance(draw, LostResponse):
            return draw
        return None if draw is Fault.HIDDEN else await self.find_session(reference)

    async def find_session(self, reference: str) -> SessionState | None:
        """Read a session, for its page; None where there is none."""
        return await self._books.submit(read_sessions, reference)

    async def act(self, reference: str, step: SessionStep) -> SessionState | None:
        """Approve or decline a session, as its buyer does on its page; None where there is none."""
        found = await self._books.submit(step_sessions, StepSession(reference, step))
        if found is not None:
            await self._calls.announce(self._announced_step(found), self._rules.faults.for_webhook(found.session.key))
        return found

    async def succeed_late(self, charge_reference: str) -> Operation | None:
        """Let a declined charge succeed after all, and send its webhook; None where there is no such charge."""
        found = await self._books.submit(book_late_success, charge_reference)
        if found is None:
            return None
        operation = operation_of(Booked(found, found.payment_method, first=True), now=self.now())
        await self._calls.announce(operation, WebhookDraw(WebhookFault.ONCE))
        return operation

    async def change_in_dashboard(self, request: ChangeInDashboard) -> Announced | None:
        """Do to a charge what the merchant does in the dashboard, or the buyer's bank; None where that cannot be."""
        return await self._tell(await self._books.submit(change_in_dashboard, request))

    async def close_dispute(self, request: CloseDispute) -> Announced | None:
        """Decide a dispute, as the bank does; None where there is none."""
        return await self._tell(await self._books.submit(close_disputes, request))

    async def fail_refund(self, reference: str) -> Announced | None:
        """Let a refund fail that succeeded; None where there is none."""
        return await self._tell(await self._books.submit(fail_refunds, reference))

    async def _tell(self, announced: Announced | None) -> Announced | None:
        await self._calls.announce(announced, WebhookDraw(WebhookFault.ONCE))
        return announced

    async def charges(self, page: ChargePage) -> list[ChargeLine]:
        """List charges."""
        return [line_of(one) for one in await self._books.submit(list_charges, page)]

    async def close(self) -> None:
        """Cancel late bookings."""
        await self._calls.close()

    def _new_charge(self, body: ChargeBody, behaviour: Behaviour, hidden_ms: int) -> BookCharge:
        return BookCharge(
            key=body.key,
            checkout_id=body.checkout_id,
            merchant_id=body.merchant_id,
            amount=body.amount + behaviour.amount_off,
            currency=body.currency,
            payment_method=body.payment_method,
            status="declined" if behaviour.decline_code else "succeeded" if body.capture else "authorized",
            decline_code=behaviour.decline_code,
            hidden_ms=max(hidden_ms, self._rules.lookup_delay_ms),
            key_lifetime_ms=self._rules.key_lifetime_ms,
        )

    def _replied(self, booked: Booked | LostResponse) -> Reply:
        return operation_of(booked, now=self.now()) if isinstance(booked, Booked) else booked

    def _announced(self, booked: Booked) -> Operation | None:
        """Tell what the webhook for an operation says; one that was accepted first is announced later."""
        if not booked.first:
            return None
        operation = operation_of(booked, now=self.now())
        is_accepted = operation.outcome == "accepted"
        if is_accepted or fails_late(booked.payment_method, operation.kind):
            self._calls.announce_later(lambda: self._find(operation.key))
        return None if is_accepted else operation

    async def _find(self, key: str) -> Operation | None:
        found = await self._books.submit(find_operations, key)
        return None if found is None else operation_of(found, now=self.now())

    def _announced_step(self, state: SessionState | None) -> Operation | None:
        if state is None or not state.is_changed:
            return None
        if state.session.status == SessionStatus.APPROVED:
            return approval_of(state)
        booked = booked_by(state)
        return None if booked is None else operation_of(booked, now=self.now())

    async def _draw_for_lookup(self, key: str) -> Fault | LostResponse:
        """Choose the fault of a look-up, and be slow where that is the fault."""
        draw = await self._calls.draw_for_lookup(key)
        if draw.fault in BEFORE:
            return REPLIES[draw.fault]
        if draw.fault is Fault.SLOW:
            await asyncio.sleep(draw.extent * SLOW_MS_MAX / 1000)
        return draw.fault
