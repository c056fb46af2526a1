"""Endpoints and deliveries: what they are, when a delivery is tried again, and when an endpoint is paused.

PENDING ──> SENDING ──> DELIVERED        a 2xx answer, and nothing else
   ^           ├──────> FAILED           every try failed; it can be sent again by hand
   └───────────┘        DROPPED          its endpoint was deleted
"""

from collections.abc import Collection
from enum import StrEnum
from typing import Final

import msgspec

from paidonce.clock import Instant
from paidonce.events.model import EventType

ENDPOINTS_MAX: Final = 16  # Of a merchant, in each mode: each event becomes so many rows at the most.
PLACES_OF_AN_ENDPOINT: Final = 8  # Calls under way at once; one only while the endpoint fails.

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE

# After each failed try: seconds catch a restart, hours an outage, days a weekend. Three days in all.
RETRY_SECONDS: Final = (
    5,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
)
PAUSE_AFTER_SECONDS: Final = 72 * HOUR  # Without one success. The merchant can resume the endpoint.
RETRY_AFTER_SECONDS_MAX: Final = 24 * HOUR  # The longest that a receiver may put us off at once.
JITTER: Final = 0.2  # Spreads the tries of deliveries that failed together.

ON_REQUEST_ONLY: Final = ("endpoint.", "provider_account.", "profile.")  # Events that concern no checkout.

GONE: Final = 410  # A receiver's way of saying that it wants no more.


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    PENDING = "PENDING"
    SENDING = "SENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    DROPPED = "DROPPED"


ALLOWED: Final = {
    DeliveryStatus.PENDING: {DeliveryStatus.SENDING, DeliveryStatus.DROPPED},
    # It may have arrived: a claim when the lease is over sends it once more.
    DeliveryStatus.SENDING: {
        DeliveryStatus.PENDING,
        DeliveryStatus.SENDING,
        DeliveryStatus.DELIVERED,
        DeliveryStatus.FAILED,
        DeliveryStatus.DROPPED,
    },
    # Whoever asks for it gets it again.
    DeliveryStatus.DELIVERED: {DeliveryStatus.PENDING},
    DeliveryStatus.FAILED: {DeliveryStatus.PENDING},
    DeliveryStatus.DROPPED: set[DeliveryStatus](),
}


def sources_of(target: DeliveryStatus) -> tuple[DeliveryStatus, ...]:
    """Name the statuses from which the table allows a transition to this one."""
    return tuple(source for source, targets in ALLOWED.items() if target in targets)


def check_transition(source: DeliveryStatus, target: DeliveryStatus) -> DeliveryStatus:
    """Return ``target``. Refuse a transition that is not in the table, which is a defect of the caller."""
    assert target in ALLOWED[source], f"no transition from {source} to {target}"
    return target


class PauseReason(StrEnum):
    """Why an endpoint is paused."""

    REQUEST = "request"
    GONE = "gone"
    FAILING = "failing"


class WebhookEndpoint(msgspec.Struct, frozen=True):
    """An endpoint as it stands. ``event_types`` is JSON text; secrets are sealed. It gets events of its ``mode``."""

    id: str
    merchant_id: str
    mode: str
    url: str
    event_types: str | None
    description: str | None
    secret: str | None
    former_secret: str | None
    former_secret_until: Instant | None
    failing_since: Instant | None
    paused_at: Instant | None
    pause_reason: str | None
    version: int
    created_at: Instant
    updated_at: Instant
    deleted_at: Instant | None


class Delivery(msgspec.Struct, frozen=True):
    """A delivery as it stands. ``number`` counts its endpoint's without a gap."""

    id: str
    merchant_id: str
    endpoint_id: str
    event_id: str
    number: int
    status: str
    due_at: Instant | None
    fence: int
    failures: int
    created_at: Instant
    updated_at: Instant
    delivered_at: Instant | None


class Schedule(msgspec.Struct, frozen=True):
    """When a delivery is tried again; every delay scales with the first."""

    first_seconds: float = RETRY_SECONDS[0]

    @property
    def _scale(self) -> float:
        return self.first_seconds / RETRY_SECONDS[0]

    def next_try_at(
        self, failures: int, now: Instant, *, chance: float, retry_after_seconds: int | None = None
    ) -> Instant | None:
        """Tell when to try again after so many failures, not before the receiver asks for it; None: never by itself.

        ``chance`` in [0, 1) spreads it by a tenth up or down.
        """
        if failures > len(RETRY_SECONDS):
            return None
        seconds = RETRY_SECONDS[failures - 1] * self._scale * (1 + JITTER * (chance - 0.5))
        return now + round(max(seconds, min(retry_after_seconds or 0, RETRY_AFTER_SECONDS_MAX)) * 1000)

    def is_too_long(self, failing_since: Instant, now: Instant) -> bool:
        """Tell whether an endpoint has failed for so long that it is paused."""
        return now - failing_since >= PAUSE_AFTER_SECONDS * self._scale * 1000


def wants(event_types: Collection[str] | None, event_type: str) -> bool:
    """Tell whether an endpoint gets events of a type. What concerns no checkout is only for those who ask for it."""
    if event_type == EventType.ENDPOINT_TEST:
        return False  # It goes to the one endpoint that it names.
    return not event_type.startswith(ON_REQUEST_ONLY) if event_types is None else event_type in event_types
