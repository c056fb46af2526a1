"""PayPal's objects, with the fields that are read here. Fields that are not named are ignored.

From the OpenAPI documents of Orders v2 and Payments v2 (github.com/paypal/paypal-rest-api-specifications), "Get access
token" and "Webhook event names" (developer.paypal.com/api/rest/authentication and …/webhooks/event-names).
"""

from datetime import datetime
from typing import Final, Literal, TypeAlias

import msgspec

from paidonce.clock import Instant

CAPTURE: Final = "CAPTURE"  # The intents of an order.
AUTHORIZE: Final = "AUTHORIZE"
Intent: TypeAlias = Literal["CAPTURE", "AUTHORIZE"]

CLOSED_BY: Final = "."  # Between our key and the reason for which we closed an order, in its ``custom_id``.
REFUND: Final = "refund-"  # Before our key, in the ``custom_id`` of a refund. Others inherit that of their order.


class Amount(msgspec.Struct, frozen=True):
    """An amount of money, as a decimal string."""

    currency_code: str
    value: str


class Link(msgspec.Struct, frozen=True):
    """A link to what can be done next."""

    href: str
    rel: str


class RelatedIds(msgspec.Struct, frozen=True):
    """The order, the authorization and the capture that a payment belongs to."""

    order_id: str | None = None
    authorization_id: str | None = None
    capture_id: str | None = None


class SupplementaryData(msgspec.Struct, frozen=True):
    """What is known beside a payment."""

    related_ids: RelatedIds = RelatedIds()


class StatusDetails(msgspec.Struct, frozen=True):
    """Why a payment is pending or declined."""

    reason: str | None = None


class ProcessorResponse(msgspec.Struct, frozen=True):
    """What the processor of a card answered."""

    response_code: str | None = None


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """An authorization, a capture or a refund."""

    id: str
    status: str
    amount: Amount | None = None
    custom_id: str | None = None
    invoice_id: str | None = None
    status_details: StatusDetails | None = None
    processor_response: ProcessorResponse | None = None
    supplementary_data: SupplementaryData = SupplementaryData()
    expiration_time: datetime | None = None
    links: list[Link] = []

    @property
    def raw_code(self) -> str:
        """Why it was declined: the most exact code that there is."""
        of_processor = self.processor_response and self.processor_response.response_code
        return of_processor or (self.status_details and self.status_details.reason) or self.status

    @property
    def expires_at(self) -> Instant | None:
        """When an authorization lapses."""
        return None if self.expiration_time is None else int(self.expiration_time.timestamp() * 1000)

    def related(self, kind: Literal["orders", "authorizations", "captures"]) -> str | None:
        """Return the id of the order, the authorization or the capture that it belongs to. Either place may lack it."""
        ids = self.supplementary_data.related_ids
        named = {"orders": ids.order_id, "authorizations": ids.authorization_id, "captures": ids.capture_id}[kind]
        linked = (link.href.rpartition(f"/{kind}/") for link in self.links if link.rel == "up")
        return named or next((last for _, found, last in linked if found and "/" not in last), None)


class Payments(msgspec.Struct, frozen=True):
    """What moved for an order."""

    authorizations: list[Payment] = []
    captures: list[Payment] = []
    refunds: list[Payment] = []


class PurchaseUnit(msgspec.Struct, frozen=True):
    """The one thing that is bought with an order of ours."""

    custom_id: str | None = None
    payments: Payments = Payments()


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order. ``custom_id`` is our key and, once we have closed the order, the reason."""

    id: str
    status: str
    intent: str | None = None
    purchase_units: list[PurchaseUnit] = []
    links: list[Link] = []

    @property
    def payments(self) -> Payments:
        """What moved for it."""
        return self.purchase_units[0].payments if self.purchase_units else Payments()

    @property
    def custom_id(self) -> str | None:
        """What we wrote on it; a payment of an order has it too."""
        payments = [*self.payments.captures, *self.payments.authorizations]
        written = [self.purchase_units[0].custom_id] if self.purchase_units else []
        return next((one for one in [*written, *(payment.custom_id for payment in payments)] if one), None)

    @property
    def key(self) -> str | None:
        """Our key of the charge."""
        return self.custom_id and self.custom_id.partition(CLOSED_BY)[0]

    @property
    def closed_by(self) -> str | None:
        """Why we closed it; None where we did not."""
        return (self.custom_id or "").partition(CLOSED_BY)[2] or None

    @property
    def approval_url(self) -> str | None:
        """Where the buyer approves it."""
        return next((link.href for link in self.links if link.rel in {"payer-action", "approve"}), None)


class Token(msgspec.Struct, frozen=True):
    """An access token."""

    access_token: str
    expires_in: int


class Issue(msgspec.Struct, frozen=True):
    """One reason for an error."""

    issue: str = ""
    description: str = ""
    field: str = ""


class ApiError(msgspec.Struct, frozen=True, kw_only=True):
    """An error. ``name`` tells its kind, and the issues tell the reason. Errors about tokens have ``error`` instead."""

    name: str = ""
    error: str = ""
    message: str = ""
    debug_id: str = ""
    details: list[Issue] = []

    @property
    def raw_code(self) -> str:
        """The most exact code that there is."""
        return next((one.issue for one in self.details if one.issue), self.name or self.error)

    @property
    def text(self) -> str:
        """What people read."""
        return next((one.description for one in self.details if one.description), self.message)


class DisputedTransaction(msgspec.Struct, frozen=True):
    """A payment that is disputed: the id of the capture."""

    seller_transaction_id: str | None = None


class DisputeOutcome(msgspec.Struct, frozen=True):
    """How a dispute ended."""

    outcome_code: str | None = None


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute, as "Disputes" v1 has it."""

    dispute_id: str
    status: str | None = None
    reason: str | None = None
    dispute_life_cycle_stage: str | None = None
    dispute_amount: Amount | None = None
    dispute_outcome: DisputeOutcome | None = None
    disputed_transactions: list[DisputedTransaction] = []


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook. ``resource`` is what it is about, as it was then."""

    id: str
    event_type: str
    resource: msgspec.Raw
