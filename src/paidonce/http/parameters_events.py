"""What requests for events may say."""

from typing import Annotated, ClassVar, Final

from msgspec import Meta

from paidonce.events.model import EventType
from paidonce.http.bodies import CheckoutId, MerchantId, whole
from paidonce.http.reading import Fields

SEQUENCE_MAX: Final = 10**18 - 1

Types = Annotated[
    str, whole(r"[a-z_.]+(,[a-z_.]+)*", "Only events of these types: `checkout.completed,checkout.failed`.")
]


def check_types(types: str) -> str | None:
    """Refuse types that there are not."""
    unknown = set(types.split(",")) - set(EventType)
    return f"There is no event type {', '.join(sorted(unknown))}." if unknown else None


class ListEventsParameters(Fields, frozen=True, kw_only=True):
    """Which of a merchant's events to list, oldest first: those with a higher number than ``after``."""

    merchant_id: MerchantId | None = None
    types: Types | None = None
    checkout_id: CheckoutId | None = None
    after: Annotated[
        int, Meta(ge=0, le=SEQUENCE_MAX, description="The `sequence` of the last event that you have; 0 is before all.")
    ] = 0
    limit: Annotated[int, Meta(ge=1, le=100)] = 10

    checks: ClassVar = {"types": check_types}


class FollowEventsParameters(Fields, frozen=True, kw_only=True):
    """Which of a merchant's events to follow."""

    merchant_id: MerchantId | None = None
    types: Types | None = None
    after: Annotated[
        str,
        whole(
            r"([0-9]{1,18}|newest)",
            "The `sequence` of the last event that you have; 0 is before all, `newest` is now.",
        ),
    ] = "0"

    checks: ClassVar = {"types": check_types}
