"""Events. Every transition appends one in the same transaction, and an event is never changed."""

from enum import StrEnum
from typing import Any, Final

import msgspec

from paidonce.clock import Instant
from paidonce.merchants.model import Tenant

PREVIOUS_STATUS: Final = "previousStatus"
"""In the detail of an event that replaces a final status of a refund, or a status of a dispute: the status before."""


class EventType(StrEnum):
    """The types of events. ``checkout.*`` are transitions; ``attempt.*`` concern an attempt that has not changed its
    checkout yet; ``dispute.*`` concern a charge that its buyer disputes. ``endpoint.*`` concern a webhook endpoint,
    ``provider_account.*`` an account with a payment provider and ``profile.*`` the merchant's profile; these concern no
    checkout.
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
    DISPUTE_OPENED = "dispute.opened"
    DISPUTE_WON = "dispute.won"
    DISPUTE_LOST = "dispute.lost"
    ATTEMPT_STARTED = "attempt.started"
    ATTEMPT_DECLINED = "attempt.declined"
    ATTEMPT_REQUIRES_ACTION = "attempt.requires_action"
    ATTEMPT_ACCEPTED = "attempt.accepted"
    ATTEMPT_CLOSING = "attempt.closing"
    ATTEMPT_UNKNOWN = "attempt.unknown"
    ATTEMPT_NEEDS_REVIEW = "attempt.needs_review"
    ENDPOINT_CREATED = "endpoint.created"
    ENDPOINT_PAUSED = "endpoint.paused"
    ENDPOINT_RESUMED = "endpoint.resumed"
    ENDPOINT_DELETED = "endpoint.deleted"
    ENDPOINT_TEST = "endpoint.test"
    PROVIDER_ACCOUNT_CREATED = "provider_account.created"
    PROVIDER_ACCOUNT_ROTATED = "provider_account.rotated"
    PROVIDER_ACCOUNT_MOVED = "provider_account.moved"
    PROVIDER_ACCOUNT_DISABLED = "provider_account.disabled"
    PROVIDER_ACCOUNT_ENABLED = "provider_account.enabled"
    PROFILE_UPDATED = "profile.updated"


class Cause(StrEnum):
    """What caused an event."""

    REQUEST = "request"
    PROVIDER_ANSWER = "provider_answer"
    RECEIVER_ANSWER = "receiver_answer"
    LOOKUP = "lookup"
    WEBHOOK = "webhook"
    OPERATOR = "operator"
    CLOCK = "clock"


class Origin(msgspec.Struct, frozen=True):
    """The request that caused a change: its ``X-Request-Id``, its ``Idempotency-Key`` if it had one, and the person who
    made it, such as ``user:usr_…``; None for an API key.
    """

    request_id: str | None = None
    idempotency_key: str | None = None
    actor: str | None = None


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event to append. It gets its number in one of the last statements of the transaction."""

    type: EventType
    cause: Cause
    merchant_id: str
    mode: str
    checkout_id: str | None = None
    attempt_id: str | None = None
    origin: Origin = Origin()
    detail: dict[str, Any] | None = None

    @property
    def tenant(self) -> Tenant:
        """In whose log it is numbered."""
        return Tenant(self.merchant_id, self.mode)


class Event(msgspec.Struct, frozen=True):
    """An event in the log. ``sequence`` numbers those of a merchant and mode without gaps; ``detail`` is JSON text.

    ``checkout_id`` is None where the event does not concern a checkout. ``attempt_kind`` is read from the attempt.
    """

    id: str
    merchant_id: str
    mode: str
    sequence: int
    checkout_id: str | None
    attempt_id: str | None
    type: str
    cause: str
    detail: str | None
    request_id: str | None
    created_at: Instant
    attempt_kind: str | None = None

    @property
    def tenant(self) -> Tenant:
        """In whose log it is numbered."""
        return Tenant(self.merchant_id, self.mode)
