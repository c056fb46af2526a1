"""What the calls about events read and respond with."""

from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta

from paidonce.clock import format_instant
from paidonce.events.model import Event, EventType
from paidonce.http.formats import CheckoutId, Limit, whole
from paidonce.http.tenancy import TenantFields

SEQUENCE_MAX: Final = 10**18 - 1

Types = Annotated[
    str, whole(r"[a-z_.]+(,[a-z_.]+)*", "Only events of these types: `checkout.completed,checkout.failed`.")
]


def check_types(types: str) -> str | None:
    """Refuse types that do not exist."""
    unknown = set(types.split(",")) - set(EventType)
    return f"There is no event type {', '.join(sorted(unknown))}." if unknown else None


class ListEventsParameters(TenantFields, frozen=True, kw_only=True):
    """Which of a merchant's events in one mode to list, oldest first: those with a higher number than ``after``."""

    types: Types | None = None
    checkout_id: CheckoutId | None = None
    after: Annotated[
        int,
        Meta(
            ge=0,
            le=SEQUENCE_MAX,
            description="The `sequence` of the last event that you have; 0 is before all that are kept.",
        ),
    ] = 0
    limit: Limit = 10

    checks: ClassVar = {"types": check_types}


class FollowEventsParameters(TenantFields, frozen=True, kw_only=True):
    """Which of a merchant's events in one mode to follow."""

    types: Types | None = None
    after: Annotated[
        str,
        whole(
            r"([0-9]{1,18}|newest)",
            "The `sequence` of the last event that you have; 0 is before all that are kept, `newest` is now.",
        ),
    ] = "0"

    checks: ClassVar = {"types": check_types}


class EventResponse(msgspec.Struct, frozen=True, rename="camel"):
    """Something that happened, and why. ``sequence`` counts the events of its merchant and ``mode`` without a gap.

    ``actor`` is the person who caused it in the dashboard.
    """

    id: str
    type: str
    cause: str
    merchant_id: str
    mode: str
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
    actor: str | None = None


class EventPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of events, oldest first. ``firstSequence`` is the number of the oldest event that is kept."""

    data: list[EventResponse]
    has_more: bool
    first_sequence: int


def event_response(event: Event) -> EventResponse:
    """Show an event."""
    detail: dict[str, str] = msgspec.json.decode(event.detail) if event.detail else {}
    return EventResponse(
        event.id,
        event.type,
        event.cause,
        event.merchant_id,
        event.mode,
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
        detail.get("actor"),
    )
