"""Mollie's objects, with the fields that are read here. Fields that are not named are ignored.

From Mollie's OpenAPI specification (github.com/mollie/openapi, read 2026-11): payments, captures, refunds, chargebacks,
profiles, events and errors of API v2.
"""

from typing import Any, Final, Literal

import msgspec

KEY: Final = "paidonce_key"  # The names of our metadata, of which Mollie keeps about 1 kB with each object.
CHECKOUT: Final = "paidonce_checkout"
MERCHANT: Final = "paidonce_merchant"
MANUAL: Final = "manual"  # Values of captureMode.
AUTOMATIC: Final = "automatic"


class Amount(msgspec.Struct, frozen=True):
    """An amount as a decimal string, with the decimals of its currency."""

    currency: str
    value: str


class Link(msgspec.Struct, frozen=True):
    """A URL."""

    href: str


class Links(msgspec.Struct, frozen=True):
    """The links of a payment. ``checkout`` is the page where the buyer pays, for as long as it can be paid."""

    checkout: Link | None = None


class Details(msgspec.Struct, frozen=True, rename="camel"):
    """What Mollie tells about how a payment was made: of a failed card payment, why."""

    failure_reason: str | None = None


class StatusReason(msgspec.Struct, frozen=True):
    """Why a payment has its status."""

    code: str | None = None


class Capture(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A capture of a payment."""

    resource: Literal["capture"]
    id: str
    status: str
    payment_id: str
    mode: str | None = None
    amount: Amount | None = None
    metadata: Any = None


class Refund(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A refund of a payment."""

    resource: Literal["refund"]
    id: str
    status: str
    payment_id: str
    amount: Amount
    mode: str | None = None
    metadata: Any = None


class ChargebackReason(msgspec.Struct, frozen=True):
    """Why the buyer's bank took the money back."""

    code: str | None = None


class Chargeback(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Money that the buyer's bank took back. It is reversed where the merchant got it again."""

    resource: Literal["chargeback"]
    id: str
    payment_id: str
    amount: Amount
    mode: str | None = None
    reason: ChargebackReason | None = None
    reversed_at: str | None = None


class Embedded(msgspec.Struct, frozen=True):
    """What a payment, or a page of a list, holds."""

    captures: list[Capture] = []
    refunds: list[Refund] = []
    chargebacks: list[Chargeback] = []


class Payment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A payment: the page that the buyer pays on, and what became of it."""

    resource: Literal["payment"]
    id: str
    mode: str
    status: str
    amount: Amount
    capture_mode: str | None = None
    is_cancelable: bool | None = None
    authorized_at: str | None = None
    capture_before: str | None = None
    expires_at: str | None = None
    metadata: Any = None
    details: Details | None = None
    status_reason: StatusReason | None = None
    links: Links = msgspec.field(name="_links", default_factory=Links)
    embedded: Embedded = msgspec.field(name="_embedded", default_factory=Embedded)

    @property
    def is_manual(self) -> bool:
        """Whether the amount is authorized first and captured later."""
        return self.capture_mode == MANUAL


class PageLinks(msgspec.Struct, frozen=True):
    """The links of a page. ``next`` is the URL of the page after it."""

    next: Link | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the captures or the refunds of a payment."""

    embedded: Embedded = msgspec.field(name="_embedded")
    links: PageLinks = msgspec.field(name="_links", default_factory=PageLinks)


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The website profile that a key belongs to."""

    resource: Literal["profile"]
    mode: str
    status: str | None = None


class ApiError(msgspec.Struct, frozen=True, kw_only=True):
    """An error of the API. ``status`` is that of the response, and ``field`` what was wrong in the request."""

    status: int
    title: str
    detail: str = ""
    field: str | None = None


class EventEmbedded(msgspec.Struct, frozen=True):
    """What an event is about, as the API returned it when the event was created."""

    entity: msgspec.Raw = msgspec.Raw(b"{}")


class Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A signed webhook."""

    resource: Literal["event"]
    id: str
    type: str
    entity_id: str = ""
    embedded: EventEmbedded | None = msgspec.field(name="_embedded", default=None)


class Entity(msgspec.Struct, frozen=True):
    """What kind of object an event is about, and in which mode it is."""

    resource: str = ""
    mode: str | None = None


def key_in(metadata: object) -> str | None:
    """Return our key in the metadata of an object; None where the object is not ours."""
    found = metadata.get(KEY) if isinstance(metadata, dict) else None
    return found if isinstance(found, str) else None
