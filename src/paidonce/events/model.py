"""What an event says. Every transition appends one, in the same transaction; none is ever changed."""

from enum import StrEnum
from typing import Any

import msgspec

from paidonce.clock import Instant


class EventType(StrEnum):
    """Every kind of event. Those of a checkout are transitions; ``attempt.*`` tell of a try that moves none yet;
    ``endpoint.*`` tell of a webhook endpoint, and of no checkout.
    """

    CHECKOUT_CREATED = "checkout.created"
    CHECKOUT_PROCESSING = "checkout.processing"
    CHECKOUT_AUTHORIZED = "checkout.authorized"
    CHECKOUT_COMPLETED = "checkout.completed"
    CHECKOUT_FAILED = "checkout.failed"
    CHECKOUT_CANCELED = "checkout.canceled"
    CHECKOUT_EXPIRED = "checkout.expired"
    REFUND_CREATED = "refund.created"
    REFUND_SUCCEEDED = "refund.succeeded"
    REFUND_FAILED = "refund.failed"
    ATTEMPT_STARTED = "attempt.started"
    ATTEMPT_UNKNOWN = "attempt.unknown"
    ATTEMPT_NEEDS_REVIEW = "attempt.needs_review"
    ENDPOINT_CREATED = "endpoint.created"
    ENDPOINT_PAUSED = "endpoint.paused"
    ENDPOINT_RESUMED = "endpoint.resumed"
    ENDPOINT_DELETED = "endpoint.deleted"
    ENDPOINT_TEST = "endpoint.test"


class Cause(StrEnum):
    """What brought an event about."""

    REQUEST = "request"
    PROVIDER_ANSWER = "provider_answer"
    RECEIVER_ANSWER = "receiver_answer"
    LOOKUP = "lookup"
    WEBHOOK = "webhook"
    OPERATOR = "operator"
    CLOCK = "clock"


class Origin(msgspec.Struct, frozen=True):
    """The request behind a change: its ``X-Request-Id``, and its ``Idempotency-Key`` if it bore one."""

    request_id: str | None = None
    idempotency_key: str | None = None


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that is to be appended; it gets its number in the last statement of the transaction."""

    type: EventType
    cause: Cause
    merchant_id: str
    checkout_id: str | None = None
    attempt_id: str | None = None
    origin: Origin = Origin()
    detail: dict[str, Any] | None = None


class Event(msgspec.Struct, frozen=True):
    """An event as it stands in the log. ``sequence`` counts its merchant's without a gap; ``detail`` is JSON text.

    ``checkout_id`` is absent where it is about something else; ``attempt_kind`` is read beside it, from its attempt.
    """

    id: str
    merchant_id: str
    sequence: int
    checkout_id: str | None
    attempt_id: str | None
    type: str
    cause: str
    detail: str | None
    request_id: str | None
    created_at: Instant
    attempt_kind: str | None = None
