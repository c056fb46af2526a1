"""What answers say of webhook endpoints and deliveries."""

import msgspec

from paidonce.clock import Instant, format_instant
from paidonce.webhook_endpoints.deliveries import NewTry
from paidonce.webhook_endpoints.model import WebhookEndpoint
from paidonce.webhook_endpoints.redelivery import Redelivery
from paidonce.webhook_endpoints.resending import ShownDelivery


class EndpointAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A webhook endpoint. ``secret`` is told when it is made, and again only to who repeats that very call with its
    idempotency key; where it can be told no more, ``secretShownAt`` says when it was.

    ``pauseReason`` is ``request`` (you asked for it), ``gone`` (the receiver answered 410) or ``failing`` (three days
    without a success). ``formerSecretUntil``: until then the secret before the newest signs too.
    """

    id: str
    merchant_id: str
    url: str
    event_types: list[str] | None
    description: str | None
    enabled: bool
    paused_at: str | None
    pause_reason: str | None
    failing_since: str | None
    former_secret_until: str | None
    created_at: str
    updated_at: str
    secret: str | msgspec.UnsetType = msgspec.UNSET
    secret_shown_at: str | msgspec.UnsetType = msgspec.UNSET


class EndpointPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of webhook endpoints, newest first."""

    data: list[EndpointAnswer]
    has_more: bool


class TryAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """A try: when, how long it took, what the receiver answered (its first bytes), and why it counts as failed."""

    number: int
    started_at: str
    duration_ms: int
    status_code: int | None
    error: str | None
    answer: str | None


class DeliveryAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """A delivery of an event to an endpoint. ``status`` is PENDING, SENDING, DELIVERED or FAILED.

    ``number`` counts the endpoint's deliveries without a gap; ``sequence`` the merchant's events. ``tries`` holds the
    newest 20, oldest first.
    """

    id: str
    endpoint_id: str
    merchant_id: str
    event_id: str
    event_type: str
    sequence: int
    number: int
    status: str
    next_try_at: str | None
    delivered_at: str | None
    created_at: str
    tries: list[TryAnswer]


class DeliveryPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of deliveries, newest first."""

    data: list[DeliveryAnswer]
    has_more: bool


class Redelivered(msgspec.Struct, frozen=True):
    """How many deliveries were made due at once. ``remaining`` counts the events that are still to be looked at."""

    deliveries: int
    remaining: int


class RedeliveryAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """A range of events that is being sent again. ``remaining`` counts those that are still to be looked at."""

    id: str
    endpoint_id: str
    from_sequence: int
    to_sequence: int
    remaining: int
    created_at: str


class RedeliveryList(msgspec.Struct, frozen=True):
    """All ranges that are still being sent again, oldest first."""

    data: list[RedeliveryAnswer]


def endpoint_answer(
    endpoint: WebhookEndpoint,
    secret: str | msgspec.UnsetType = msgspec.UNSET,
    *,
    secret_shown_at: str | msgspec.UnsetType = msgspec.UNSET,
) -> EndpointAnswer:
    """Show an endpoint, and its secret where it is new."""
    return EndpointAnswer(
        id=endpoint.id,
        merchant_id=endpoint.merchant_id,
        url=endpoint.url,
        event_types=msgspec.json.decode(endpoint.event_types) if endpoint.event_types else None,
        description=endpoint.description,
        enabled=endpoint.paused_at is None,
        paused_at=_instant(endpoint.paused_at),
        pause_reason=endpoint.pause_reason,
        failing_since=_instant(endpoint.failing_since),
        former_secret_until=_instant(endpoint.former_secret_until),
        created_at=format_instant(endpoint.created_at),
        updated_at=format_instant(endpoint.updated_at),
        secret=secret,
        secret_shown_at=secret_shown_at,
    )


def delivery_answer(shown: ShownDelivery) -> DeliveryAnswer:
    """Show a delivery with its tries."""
    one = shown.delivery
    return DeliveryAnswer(
        one.id,
        one.endpoint_id,
        one.merchant_id,
        one.event_id,
        shown.type,
        shown.sequence,
        one.number,
        one.status,
        # While it is being sent this is when somebody else may take it over, which is nobody's concern.
        _instant(one.due_at) if one.status == "PENDING" else None,
        _instant(one.delivered_at),
        format_instant(one.created_at),
        [_try_answer(each) for each in shown.tries],
    )


def redelivery_answer(one: Redelivery) -> RedeliveryAnswer:
    """Show a range that is being sent again."""
    return RedeliveryAnswer(
        one.id, one.endpoint_id, one.from_sequence, one.to_sequence, one.remaining, format_instant(one.created_at)
    )


def _try_answer(one: NewTry) -> TryAnswer:
    return TryAnswer(
        one.number, format_instant(one.started_at), one.duration_ms, one.status_code, one.error, one.answer
    )


def _instant(instant: Instant | None) -> str | None:
    return None if instant is None else format_instant(instant)
