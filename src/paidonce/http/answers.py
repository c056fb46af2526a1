"""What answers say, and how they are encoded."""

from typing import Final

import msgspec

from paidonce.checkouts.model import ATTEMPTS_MAX, Checkout, LatestAttempt
from paidonce.clock import format_instant
from paidonce.events.model import Event
from paidonce.payments.model import Attempt, AttemptStatus

EMPTY_OBJECT: Final = msgspec.Raw(b"{}")


class AttemptAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """The newest attempt that moves a checkout: CHARGE, AUTHORIZE, CAPTURE or VOID.

    ``status`` is READY, SENT, UNKNOWN, NEEDS_REVIEW, SUCCEEDED or DECLINED.
    """

    id: str
    kind: str
    status: str
    provider: str
    provider_reference: str | None
    decline_code: str | None
    created_at: str
    settled_at: str | None


class CheckoutAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """A checkout. Amounts are in the currency's minor unit; times are RFC 3339 in UTC with milliseconds."""

    id: str
    merchant_id: str
    amount: int
    currency: str
    idempotency_key: str
    status: str
    capture_method: str
    amount_captured: int
    amount_refunded: int
    amount_refund_pending: int
    attempts_left: int
    attempt: AttemptAnswer | None
    description: str | None
    metadata: msgspec.Raw
    success_url: str | None
    cancel_url: str | None
    created_at: str
    updated_at: str
    expires_at: str


class CheckoutPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of checkouts, newest first."""

    data: list[CheckoutAnswer]
    has_more: bool


class EventAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """Something that happened, and why. ``sequence`` counts its merchant's events without a gap."""

    id: str
    type: str
    cause: str
    merchant_id: str
    sequence: int
    checkout_id: str | None
    attempt_id: str | None
    attempt_kind: str | None
    provider_reference: str | None
    decline_code: str | None
    reason: str | None
    request_id: str | None
    idempotency_key: str | None
    created_at: str


class RefundAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """A refund. ``status`` is PENDING until the provider proves SUCCEEDED or FAILED."""

    id: str
    checkout_id: str
    merchant_id: str
    amount: int
    currency: str
    status: str
    reason: str | None
    decline_code: str | None
    provider_reference: str | None
    created_at: str
    updated_at: str


class RefundList(msgspec.Struct, frozen=True):
    """All refunds of a checkout, oldest first."""

    data: list[RefundAnswer]


class Timeline(msgspec.Struct, frozen=True):
    """Everything that happened to a checkout, oldest first."""

    data: list[EventAnswer]


class EventPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of events, oldest first."""

    data: list[EventAnswer]
    has_more: bool


def checkout_answer(checkout: Checkout) -> CheckoutAnswer:
    """Show a checkout."""
    return CheckoutAnswer(
        checkout.id,
        checkout.merchant_id,
        checkout.amount,
        checkout.currency,
        checkout.idempotency_key,
        checkout.status,
        checkout.capture_method,
        checkout.amount_captured,
        checkout.amount_refunded,
        checkout.amount_refund_pending,
        ATTEMPTS_MAX - checkout.attempt_count,
        _attempt_answer(checkout.attempt) if checkout.attempt else None,
        checkout.description,
        msgspec.Raw(checkout.metadata.encode()) if checkout.metadata else EMPTY_OBJECT,
        checkout.success_url,
        checkout.cancel_url,
        format_instant(checkout.created_at),
        format_instant(checkout.updated_at),
        format_instant(checkout.expires_at),
    )


def _attempt_answer(attempt: LatestAttempt) -> AttemptAnswer:
    return AttemptAnswer(
        attempt.id,
        attempt.kind,
        attempt.status,
        attempt.provider,
        attempt.provider_reference,
        attempt.decline_code,
        format_instant(attempt.created_at),
        None if attempt.settled_at is None else format_instant(attempt.settled_at),
    )


REFUND_STATUS: Final = {AttemptStatus.SUCCEEDED: "SUCCEEDED", AttemptStatus.DECLINED: "FAILED"}


def refund_answer(refund: Attempt) -> RefundAnswer:
    """Show a refund."""
    return RefundAnswer(
        refund.id,
        refund.checkout_id,
        refund.merchant_id,
        refund.amount,
        refund.currency,
        REFUND_STATUS.get(AttemptStatus(refund.status), "PENDING"),
        refund.reason,
        refund.decline_code,
        refund.provider_reference,
        format_instant(refund.created_at),
        format_instant(refund.updated_at),
    )


def event_answer(event: Event) -> EventAnswer:
    """Show an event."""
    detail: dict[str, str] = msgspec.json.decode(event.detail) if event.detail else {}
    return EventAnswer(
        event.id,
        event.type,
        event.cause,
        event.merchant_id,
        event.sequence,
        event.checkout_id,
        event.attempt_id,
        event.attempt_kind,
        detail.get("providerReference"),
        detail.get("declineCode"),
        detail.get("reason"),
        event.request_id,
        detail.get("idempotencyKey"),
        format_instant(event.created_at),
    )


class Received(msgspec.Struct, frozen=True, rename="camel"):
    """A webhook is stored; ``id`` is its sender's."""

    id: str


class Health(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """How the service is. An operator's key is told more: the release, where the data is, and its migration."""

    status: str
    version: str | None = None
    database: str | None = None
    schema: str | None = None
