"""The request and response types of the simulated provider, and the evidence in them. Client and server share them."""

from typing import Final, Literal, TypeAlias

import msgspec

from paidonce.clock import Instant, format_instant, parse_instant
from paidonce.providers.base import ChargeRequest
from paidonce.providers.evidence import (
    Accepted,
    AuthorizationEnded,
    Authorized,
    Declined,
    Dispute,
    Evidence,
    ExternalChange,
    ExternalRefund,
    Opened,
    OperationKind,
    Redirect,
    RequiresAction,
    Succeeded,
    Unknown,
)
from paidonce.providers.simulator.behaviour import (
    ACCEPTED_MS,
    LATE_FAILURE_MS,
    capture_within_ms,
    fails_late,
    is_accepted_first,
)
from paidonce.providers.simulator.books import Booked, Change, Charge
from paidonce.providers.simulator.session_books import SessionState


class ChargeBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``POST /charges``: charge, or authorize where ``capture`` is false. ``amount`` is in minor units."""

    key: str
    amount: int
    currency: str
    payment_method: str
    capture: bool
    checkout_id: str
    merchant_id: str


class ChangeBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``POST /charges/{reference}/capture``, ``/void`` or ``/refunds``; ``amount`` is minor units."""

    key: str
    amount: int


Outcome: TypeAlias = Literal["succeeded", "authorized", "declined", "accepted", "approved"]
"""``accepted``: the outcome comes later. ``approved``: by the buyer of a session, which can be charged now."""


class Operation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The outcome of a call: the same for its response, for a look-up of its key, and for a webhook."""

    key: str
    kind: OperationKind
    reference: str
    outcome: Outcome
    amount: int
    currency: str | None = None  # A charge's; what changes one has its currency.
    decline_code: str | None = None
    capture_before: str | None = None  # RFC 3339; of an authorization that lapses.

    def __post_init__(self) -> None:
        """Refuse to read what is no time."""
        if self.capture_before is not None:
            parse_instant(self.capture_before)


class DashboardChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was done to a charge in the provider's dashboard, or by the buyer's bank, as a webhook tells it.

    ``reference`` is that of the refund or the dispute; an authorization's is that of the charge.
    """

    subject: Literal["refund", "dispute", "authorization"]
    outcome: Literal["succeeded", "failed", "opened", "won", "lost", "canceled", "expired"]
    reference: str
    charge_key: str
    charge_reference: str
    amount: int
    currency: str
    reason: str | None = None


class ChargeLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A charge as ``GET /charges`` returns it. ``status`` is its current status."""

    key: str
    reference: str
    checkout_id: str
    merchant_id: str
    amount: int
    currency: str
    status: str
    amount_refunded: int
    created_at: str


class ChargeList(msgspec.Struct, frozen=True, rename="camel"):
    """Charges, oldest first; the last one's reference is the next page's ``after``."""

    data: list[ChargeLine]
    has_more: bool


Announced: TypeAlias = Operation | DashboardChange
"""What a webhook tells."""


class WebhookBody(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook in the form that Standard Webhooks recommends. ``type`` is for example ``charge.declined``."""

    type: str
    timestamp: str
    data: Operation


DASHBOARD: Final = "dashboard."  # How the types of these webhooks begin.


class DashboardWebhookBody(msgspec.Struct, frozen=True, kw_only=True):
    """The same for what was done in the dashboard. ``type`` is for example ``dashboard.refund.succeeded``."""

    type: str
    timestamp: str
    data: DashboardChange


KINDS: Final[dict[str, OperationKind]] = {"CAPTURE": "capture", "VOID": "void", "REFUND": "refund"}


def operation_of(booked: Booked, *, now: Instant) -> Operation:
    """Return an operation as it was booked. Later changes have keys of their own."""
    one = booked.operation
    kind: OperationKind = "charge" if isinstance(one, Charge) else KINDS[one.kind]
    is_undecided = is_accepted_first(booked.payment_method, kind) and now < one.created_at + ACCEPTED_MS
    will_fail = fails_late(booked.payment_method, kind) and now < one.created_at + LATE_FAILURE_MS
    outcome = _outcome(one, will_fail=will_fail)
    return Operation(
        key=one.key,
        kind=kind,
        reference=one.reference,
        outcome="accepted" if is_undecided else outcome,
        amount=one.amount,
        currency=one.currency if isinstance(one, Charge) else None,
        decline_code=None if is_undecided or will_fail else one.decline_code,
        capture_before=_capture_before(one) if outcome == "authorized" else None,
    )


def _capture_before(booked: Charge | Change) -> str | None:
    within_ms = capture_within_ms(booked.payment_method) if isinstance(booked, Charge) else None
    return None if within_ms is None else format_instant(booked.created_at + within_ms)


def _outcome(booked: Charge | Change, *, will_fail: bool) -> Outcome:
    if booked.decline_code and not will_fail:
        return "declined"
    return "authorized" if isinstance(booked, Charge) and booked.booked_as == "authorized" else "succeeded"


class SessionBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``POST /sessions``: open a session. ``amount`` is in minor units; ``expires_at`` is RFC 3339."""

    key: str
    amount: int
    currency: str
    payment_method: str
    capture: bool
    checkout_id: str
    merchant_id: str
    return_url: str
    expires_at: str
    description: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no time before anything is booked."""
        parse_instant(self.expires_at)


class SessionReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A session as it is now. ``url`` is the page on which the buyer acts; ``operation`` is its charge."""

    key: str
    reference: str
    status: Literal["open", "approved", "charged", "closed", "expired"]
    url: str
    expires_at: str
    operation: Operation | None = None

    def __post_init__(self) -> None:
        """Refuse to read what is no time."""
        parse_instant(self.expires_at)


def charge_body(request: ChargeRequest) -> ChargeBody:
    """Return the body that asks for a charge."""
    return ChargeBody(
        key=request.key,
        amount=request.money.amount,
        currency=request.money.currency,
        payment_method=request.payment_method,
        capture=request.capture,
        checkout_id=request.checkout_id,
        merchant_id=request.merchant_id,
    )


def session_body(request: ChargeRequest) -> SessionBody:
    """Return the body that asks for a session."""
    assert request.return_url is not None, "a session is opened for a buyer, who comes back"
    assert request.expires_at is not None, "a session has an end"
    return SessionBody(
        key=request.key,
        amount=request.money.amount,
        currency=request.money.currency,
        payment_method=request.payment_method,
        capture=request.capture,
        checkout_id=request.checkout_id,
        merchant_id=request.merchant_id,
        return_url=request.return_url,
        expires_at=format_instant(request.expires_at),
        description=request.description,
    )


def session_reply(state: SessionState, *, url: str, now: Instant) -> SessionReply:
    """Return a session as it is now."""
    found = state.session
    charged = None if state.charge is None else Booked(state.charge, found.payment_method, first=False)
    return SessionReply(
        key=found.key,
        reference=found.reference,
        status="expired" if state.is_expired else found.status,  # type: ignore[arg-type] # A SessionStatus.
        url=url,
        expires_at=format_instant(found.expires_at),
        operation=None if charged is None else operation_of(charged, now=now),
    )


def approval_of(state: SessionState) -> Operation:
    """Return the approval of a session by its buyer, as a webhook tells it."""
    found = state.session
    return Operation(
        key=found.key,
        kind="charge",
        reference=found.reference,
        outcome="approved",
        amount=found.amount,
        currency=found.currency,
    )


def session_evidence(reply: SessionReply) -> Evidence:
    """Return what a session proves about the charge that is made through it."""
    match reply.status:
        case "open":
            return RequiresAction(reply.reference, Redirect(reply.url, parse_instant(reply.expires_at)))
        case "approved":
            return Opened(reply.reference)
        case "closed":
            return Declined("session_closed")
        case "expired":
            return Declined("session_expired")
        case "charged":
            return (
                Unknown("a charged session without its charge")
                if reply.operation is None
                else evidence_of(reply.operation)
            )


def evidence_of(operation: Operation) -> Evidence:
    """Return what an operation proves about the call with its key."""
    match operation.outcome:
        case "succeeded":
            return Succeeded(operation.reference, operation.amount, operation.currency, operation.kind)
        case "authorized":
            lapses_at = None if operation.capture_before is None else parse_instant(operation.capture_before)
            return Authorized(operation.reference, operation.amount, operation.currency, operation.kind, lapses_at)
        case "accepted":
            return Accepted(operation.reference)
        case "approved":
            return Opened(operation.reference)
        case "declined":
            return Declined(operation.decline_code or "declined", operation.reference, operation.kind)


def change_of(change: DashboardChange) -> ExternalChange | None:
    """Return what a change tells; None where its outcome is none of its subject."""
    match change.subject, change.outcome:
        case "refund", ("succeeded" | "failed") as status:
            code = change.reason if status == "failed" else None
            return ExternalRefund(change.reference, status, change.amount, change.currency, code, code)
        case "dispute", ("opened" | "won" | "lost") as status:
            return Dispute(change.reference, status, change.amount, change.currency, change.reason)
        case "authorization", ("canceled" | "expired") as reason:
            return AuthorizationEnded(reason)
        case _:
            return None


def line_of(booked: Charge) -> ChargeLine:
    """Return a charge as a line of the list."""
    return ChargeLine(
        key=booked.key,
        reference=booked.reference,
        checkout_id=booked.checkout_id,
        merchant_id=booked.merchant_id,
        amount=booked.amount,
        currency=booked.currency,
        status=booked.status,
        amount_refunded=booked.amount_refunded,
        created_at=format_instant(booked.created_at),
    )
