"""What requests about webhooks to merchants may say."""

from typing import Annotated, Final, Literal

from msgspec import Meta

from paidonce.events.model import EventType
from paidonce.http.bodies import MerchantId, Text, whole
from paidonce.http.reading import Fields
from paidonce.webhook_endpoints.redelivery import REDELIVERED_MAX

OVERLAP_SECONDS_MAX: Final = 7 * 86_400

WebhookUrl = Annotated[
    str,
    whole(
        r"https?://[!-~]+",
        "Where webhooks go: https, a public host, no user and no fragment; any port.",
        length_max=2048,
    ),
]
EndpointId = Annotated[str, whole(r"whe_[0-9a-v]{26}")]
DeliveryId = Annotated[str, whole(r"dlv_[0-9a-v]{26}")]
EventTypes = Annotated[
    list[EventType],
    Meta(
        max_length=len(EventType),
        description="The types of events to send; none, or an empty list: all but those of endpoints themselves.",
    ),
]
Description = Annotated[Text, Meta(description="Yours.")]
Sequence = Annotated[int, Meta(ge=1, le=2**53, description="The number of an event, as `sequence` tells it.")]


class CreateEndpointBody(Fields, frozen=True, kw_only=True):
    """A webhook endpoint to create."""

    url: WebhookUrl
    merchant_id: MerchantId | None = None
    event_types: EventTypes | None = None
    description: Description | None = None


class UpdateEndpointBody(Fields, frozen=True, kw_only=True):
    """What to change of a webhook endpoint; what is absent stays. ``enabled: false`` pauses it and loses nothing."""

    url: WebhookUrl | None = None
    event_types: EventTypes | None = None
    description: (
        Annotated[str, Meta(max_length=1000, pattern=r"^[^\x00]*$", description="Yours; an empty one takes it away.")]
        | None
    ) = None
    enabled: Annotated[bool, Meta(description="Whether anything is sent; what waits is kept.")] | None = None


class RotateSecretBody(Fields, frozen=True, kw_only=True):
    """How long the secret before signs too; the whole body may be absent."""

    overlap_seconds: Annotated[
        int, Meta(ge=0, le=OVERLAP_SECONDS_MAX, description="0: the secret before is of no use at once.")
    ] = 86_400


class NoBody(Fields, frozen=True, kw_only=True):
    """This call takes no body, or an empty object."""


class RedeliverRangeBody(Fields, frozen=True, kw_only=True):
    """Which events to send again, both ends included."""

    from_sequence: Sequence
    to_sequence: Annotated[
        Sequence, Meta(description=f"At most {REDELIVERED_MAX} events in all, so at most that far beyond the first.")
    ]


class EndpointListParameters(Fields, frozen=True, kw_only=True):
    """Which webhook endpoints to list."""

    merchant_id: MerchantId | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    starting_after: EndpointId | None = None
    ending_before: EndpointId | None = None


class DeliveryListParameters(Fields, frozen=True, kw_only=True):
    """Which deliveries to list."""

    status: Literal["PENDING", "SENDING", "DELIVERED", "FAILED"] | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    starting_after: DeliveryId | None = None
    ending_before: DeliveryId | None = None
