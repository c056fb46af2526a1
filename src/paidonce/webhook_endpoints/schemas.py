"""What the calls about webhook endpoints and deliveries read and respond with."""

from typing import Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from paidonce import ids
from paidonce.clock import Instant, format_instant
from paidonce.events.model import EventType
from paidonce.http.fields import Fields
from paidonce.http.formats import Limit, Text, Time, check_instant, whole
from paidonce.http.tenancy import TenantFields
from paidonce.webhook_endpoints.delivery_store import NewTry
from paidonce.webhook_endpoints.model import WebhookEndpoint
from paidonce.webhook_endpoints.redelivery import REDELIVERED_MAX, Redelivery
from paidonce.webhook_endpoints.redelivery_store import ShownDelivery

OVERLAP_SECONDS_MAX: Final = 7 * 86_400

WebhookUrl = Annotated[
    str,
    whole(
        r"https?://[!-~]+",
        "Where webhooks go: https, a public host, no user and no fragment; any port.",
        length_max=2048,
    ),
]
EndpointId = Annotated[str, whole(ids.pattern(ids.ENDPOINT))]
DeliveryId = Annotated[str, whole(ids.pattern(ids.DELIVERY))]
EventTypes = Annotated[
    list[EventType],
    Meta(
        max_length=len(EventType),
        description="The types of events to send; none, or an empty list: all that concern a checkout.",
    ),
]
Description = Annotated[Text, Meta(description="Your own note.")]
Sequence = Annotated[int, Meta(ge=1, le=2**53, description="The number of an event, as `sequence` tells it.")]


class CreateEndpointBody(TenantFields, frozen=True, kw_only=True):
    """A webhook endpoint to create."""

    url: WebhookUrl
    event_types: EventTypes | None = None
    description: Description | None = None


class UpdateEndpointBody(Fields, frozen=True, kw_only=True):
    """What to change of a webhook endpoint; an absent field stays. ``enabled: false`` pauses it and loses nothing."""

    url: WebhookUrl | None = None
    event_types: EventTypes | None = None
    description: (
        Annotated[str, Meta(max_length=1000, pattern=r"^[^\x00]*$", description='Your own note; "" removes it.')] | None
    ) = None
    enabled: Annotated[bool, Meta(description="Whether webhooks are sent; else they are kept.")] | None = None


class RotateSecretBody(Fields, frozen=True, kw_only=True):
    """How long the former secret signs too; the whole body may be absent."""

    overlap_seconds: Annotated[
        int, Meta(ge=0, le=OVERLAP_SECONDS_MAX, description="0: the former secret ends at once.")
    ] = 86_400


class EmptyBody(Fields, frozen=True, kw_only=True):
    """This call takes no body, or an empty object."""


class RedeliverRangeBody(Fields, frozen=True, kw_only=True):
    """Which events to send again, both ends included."""

    from_sequence: Sequence
    to_sequence: Annotated[
        Sequence, Meta(description=f"At most {REDELIVERED_MAX} events in all, so at most that far beyond the first.")
    ]


class RedeliverFailedBody(Fields, frozen=True, kw_only=True):
    """Which failed deliveries to send again."""

    since: Annotated[Time, Meta(description="Only deliveries that were created at this time or later.")]

    checks: ClassVar = {"since": check_instant}


class ListEndpointsParameters(TenantFields, frozen=True, kw_only=True):
    """Which webhook endpoints to list."""

    limit: Limit = 10
    starting_after: EndpointId | None = None
    ending_before: EndpointId | None = None


class ListDeliveriesParameters(Fields, frozen=True, kw_only=True):
    """Which deliveries to list."""

    status: Literal["PENDING", "SENDING", "DELIVERED", "FAILED"] | None = None
    limit: Limit = 10
    starting_after: DeliveryId | None = None
    ending_before: DeliveryId | None = None


class EndpointResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A webhook endpoint, which gets the events of its ``mode``. ``secret`` is shown when it is created, and again only
    to a client that repeats that call with its idempotency key; where it can be shown no more, ``secretShownAt`` says
    when it was.

    ``pauseReason`` is ``request`` (you asked for it), ``gone`` (the receiver answered 410) or ``failing`` (three days
    without a success). ``formerSecretUntil``: until then the secret before the newest signs too.
    """

    id: str
    merchant_id: str
    mode: str
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

    data: list[EndpointResponse]
    has_more: bool


class TryResponse(msgspec.Struct, frozen=True, rename="camel"):
    """A try: when, how long it took, what the receiver answered (its first bytes), and why it counts as failed."""

    number: int
    started_at: str
    duration_ms: int
    status_code: int | None
    error: str | None
    answer: str | None


class DeliveryResponse(msgspec.Struct, frozen=True, rename="camel"):
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
    tries: list[TryResponse]


class DeliveryPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of deliveries, newest first."""

    data: list[DeliveryResponse]
    has_more: bool


class RedeliveredResponse(msgspec.Struct, frozen=True):
    """How many deliveries were made due at once. ``remaining`` counts the events that are still to be looked at."""

    deliveries: int
    remaining: int


class RedeliveredFailedResponse(msgspec.Struct, frozen=True, rename="camel"):
    """How many failed deliveries were made due. With ``hasMore`` the same call sends others."""

    deliveries: int
    has_more: bool


class RedeliveryResponse(msgspec.Struct, frozen=True, rename="camel"):
    """A range of events that is being sent again. ``remaining`` counts those that are still to be looked at."""

    id: str
    endpoint_id: str
    from_sequence: int
    to_sequence: int
    remaining: int
    created_at: str


class RedeliveryList(msgspec.Struct, frozen=True):
    """All ranges that are still being sent again, oldest first."""

    data: list[RedeliveryResponse]


def endpoint_response(
    endpoint: WebhookEndpoint,
    secret: str | msgspec.UnsetType = msgspec.UNSET,
    *,
    secret_shown_at: str | msgspec.UnsetType = msgspec.UNSET,
) -> EndpointResponse:
    """Show an endpoint, and its secret where it is new."""
    return EndpointResponse(
        id=endpoint.id,
        merchant_id=endpoint.merchant_id,
        mode=endpoint.mode,
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


def delivery_response(shown: ShownDelivery) -> DeliveryResponse:
    """Show a delivery with its tries."""
    one = shown.delivery
    return DeliveryResponse(
        one.id,
        one.endpoint_id,
        one.merchant_id,
        one.event_id,
        shown.type,
        shown.sequence,
        one.number,
        one.status,
        # While it is being sent, ``due_at`` is the end of the lease, which is internal.
        _instant(one.due_at) if one.status == "PENDING" else None,
        _instant(one.delivered_at),
        format_instant(one.created_at),
        [_try_response(each) for each in shown.tries],
    )


def redelivery_response(one: Redelivery) -> RedeliveryResponse:
    """Show a range that is being sent again."""
    return RedeliveryResponse(
        one.id, one.endpoint_id, one.from_sequence, one.to_sequence, one.remaining, format_instant(one.created_at)
    )


def _try_response(one: NewTry) -> TryResponse:
    return TryResponse(
        one.number, format_instant(one.started_at), one.duration_ms, one.status_code, one.error, one.answer
    )


def _instant(instant: Instant | None) -> str | None:
    return None if instant is None else format_instant(instant)
