"""What a webhook says: an event and what never changes of the things that it is about.

So the body is the same however often it is sent, without being kept: only what is fixed with the event goes into it.
How a thing stands now, the receiver asks of the API.
"""

from typing import Any, Final

import msgspec

from paidonce.clock import Instant, format_instant

_encode: Final = msgspec.json.Encoder().encode
EMPTY_OBJECT: Final = msgspec.Raw(b"{}")
_check_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

REFUNDS: Final = frozenset({"REFUND", "REVERSAL"})


class DueMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A claimed delivery with its event, and with the fixed part of the checkout and attempt that this is about."""

    delivery_id: str
    merchant_id: str
    mode: str
    number: int
    event_id: str
    type: str
    sequence: int
    cause: str
    detail: str | None
    created_at: Instant
    attempt_id: str | None
    attempt_kind: str | None
    attempt_amount: int | None
    attempt_currency: str | None
    attempt_provider: str | None
    attempt_reason: str | None
    checkout_id: str | None
    checkout_amount: int | None
    checkout_currency: str | None
    checkout_key: str | None
    checkout_capture_method: str | None
    checkout_description: str | None
    checkout_metadata: str | None
    checkout_created_at: Instant | None
    checkout_expires_at: Instant | None


class CheckoutPart(msgspec.Struct, frozen=True, rename="camel"):
    """The checkout. ``status`` is the one that the event brought it to; absent where it moved no checkout."""

    id: str
    amount: int
    currency: str
    idempotency_key: str
    capture_method: str
    description: str | None
    metadata: msgspec.Raw
    created_at: str
    expires_at: str
    status: str | msgspec.UnsetType = msgspec.UNSET


class AttemptPart(msgspec.Struct, frozen=True, rename="camel"):
    """The attempt at the provider."""

    id: str
    kind: str
    provider: str
    amount: int
    currency: str


class RefundPart(msgspec.Struct, frozen=True, rename="camel"):
    """The refund, with the status that the event brought it to."""

    id: str
    amount: int
    currency: str
    reason: str | None
    status: str


class WebhookData(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What happened. ``sequence`` counts the merchant's events in this mode, ``number`` those sent to this endpoint: no
    gaps.
    """

    id: str
    sequence: int
    number: int
    merchant_id: str
    mode: str
    cause: str
    checkout: CheckoutPart | None
    attempt: AttemptPart | None
    refund: RefundPart | None
    detail: msgspec.Raw


class WebhookMessage(msgspec.Struct, frozen=True):
    """A webhook's body, as Standard Webhooks lays it out."""

    type: str
    timestamp: str
    data: WebhookData


def write_message(due: DueMessage) -> bytes:
    """Write a webhook's body; raises where what is stored cannot be written, as JSON that does not decode."""
    thing, _, what = due.type.partition(".")
    is_refund = due.attempt_kind in REFUNDS
    data = WebhookData(
        id=due.event_id,
        sequence=due.sequence,
        number=due.number,
        merchant_id=due.merchant_id,
        mode=due.mode,
        cause=due.cause,
        checkout=_checkout(due, what.upper() if thing == "checkout" else None),
        attempt=None if is_refund else _attempt(due),
        refund=_refund(due, what) if is_refund else None,
        detail=_object(due.detail),
    )
    return _encode(WebhookMessage(due.type, format_instant(due.created_at), data))


def _object(stored: str | None) -> msgspec.Raw:
    """Take a stored JSON object over as it is; raises msgspec.DecodeError where it is none."""
    if not stored:
        return EMPTY_OBJECT
    data = stored.encode()
    _check_object(data)
    return msgspec.Raw(data)


def _checkout(due: DueMessage, status: str | None) -> CheckoutPart | None:
    if due.checkout_id is None:
        return None
    fixed: Any = due  # Where there is a checkout, it has all of these.
    return CheckoutPart(
        due.checkout_id,
        fixed.checkout_amount,
        fixed.checkout_currency,
        fixed.checkout_key,
        fixed.checkout_capture_method,
        due.checkout_description,
        _object(due.checkout_metadata),
        format_instant(fixed.checkout_created_at),
        format_instant(fixed.checkout_expires_at),
        # A checkout is new as PENDING; every other event of it is named after the status that it brings.
        msgspec.UNSET if status is None else "PENDING" if status == "CREATED" else status,
    )


def _attempt(due: DueMessage) -> AttemptPart | None:
    if due.attempt_id is None or due.attempt_kind is None:
        return None
    fixed: Any = due
    return AttemptPart(
        due.attempt_id, due.attempt_kind, fixed.attempt_provider, fixed.attempt_amount, fixed.attempt_currency
    )


def _refund(due: DueMessage, what: str) -> RefundPart:
    fixed: Any = due
    status = {"succeeded": "SUCCEEDED", "failed": "FAILED"}.get(what, "PENDING")
    return RefundPart(fixed.attempt_id, fixed.attempt_amount, fixed.attempt_currency, due.attempt_reason, status)
