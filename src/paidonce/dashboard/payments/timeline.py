"""The timeline of a payment in words: what happened, what proved or caused it, and who did it."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from paidonce.dashboard.payments.texts import When, amount_text
from paidonce.events.model import Cause, Event, EventType
from paidonce.money import CURRENCIES
from paidonce.payments.model import AttemptKind

ENTRIES_MAX: Final = 300  # The newest.
USER: Final = "user:"  # Begins the name of a user as events have it.

HAPPENED: Final[Mapping[str, str]] = {
    EventType.CHECKOUT_CREATED: "The checkout was created.",
    EventType.CHECKOUT_PROCESSING: "A payment began.",
    EventType.CHECKOUT_AUTHORIZED: "The provider confirmed the authorization.",
    EventType.CHECKOUT_COMPLETED: "The provider confirmed the charge.",
    EventType.CHECKOUT_FAILED: "The provider confirmed that nothing was charged.",
    EventType.CHECKOUT_CANCELED: "The checkout was canceled.",
    EventType.CHECKOUT_EXPIRED: "The checkout expired.",
    EventType.REFUND_CREATED: "A refund began.",
    EventType.REFUND_SUCCEEDED: "The provider confirmed the refund.",
    EventType.REFUND_FAILED: "The refund failed. The amount can be refunded again.",
    EventType.DISPUTE_OPENED: "The buyer disputes the charge at their bank.",
    EventType.DISPUTE_WON: "The dispute was won: the amount stays here.",
    EventType.DISPUTE_LOST: "The dispute was lost: the buyer has the amount back.",
    EventType.ATTEMPT_STARTED: "The payment continues with the next account.",
    EventType.ATTEMPT_DECLINED: "The payment had no effect at this account, and continues with the next one.",
    EventType.ATTEMPT_REQUIRES_ACTION: "The buyer must act.",
    EventType.ATTEMPT_ACCEPTED: "The provider accepted it, and will tell the outcome later.",
    EventType.ATTEMPT_CLOSING: "The session at the provider is being closed, so that nobody pays it.",
    EventType.ATTEMPT_UNKNOWN: "The outcome is unknown. The provider is asked about it on a schedule.",
    EventType.ATTEMPT_NEEDS_REVIEW: "A person must find out the outcome at the provider.",
}
# Where the kind of the attempt says more.
HAPPENED_TO: Final[Mapping[tuple[str, str | None], str]] = {
    (EventType.CHECKOUT_PROCESSING, AttemptKind.CAPTURE): "A capture began.",
    (EventType.CHECKOUT_AUTHORIZED, AttemptKind.CAPTURE): "The capture was declined. The amount stays authorized.",
    (EventType.CHECKOUT_COMPLETED, AttemptKind.CAPTURE): "The provider confirmed the capture.",
    (EventType.CHECKOUT_CANCELED, AttemptKind.VOID): "The authorization was voided, and the checkout is canceled.",
    (EventType.CHECKOUT_EXPIRED, AttemptKind.VOID): "The authorization was voided, because the checkout expired.",
    (EventType.REFUND_CREATED, AttemptKind.REVERSAL): "The payment was confirmed too late, and is being returned.",
    (EventType.ATTEMPT_STARTED, AttemptKind.VOID): "The release of the authorized amount began.",
}
CAUSES: Final[Mapping[str, str]] = {
    Cause.REQUEST: "a request",
    Cause.PROVIDER_ANSWER: "the provider's answer",
    Cause.RECEIVER_ANSWER: "the answer of a webhook's receiver",
    Cause.LOOKUP: "a look-up at the provider",
    Cause.WEBHOOK: "a webhook of the provider",
    Cause.OPERATOR: "an operator's decision",
    Cause.CLOCK: "time",
}
DETAILS: Final[Mapping[str, str]] = {
    "amount": "Amount",
    "providerReference": "Provider's reference",
    "declineCode": "Decline code",
    "rawDeclineCode": "Provider's own code",
    "reason": "Reason",
    "disputeId": "Dispute",
    "provider": "Provider",
    "accountId": "Account",
    "initiatedBy": "Initiated by",
    "idempotencyKey": "Idempotency key",
}


class Entry(msgspec.Struct, frozen=True):
    """An entry of the timeline. ``who`` is the person who did it, if one did. ``details`` are pairs of a label and a
    text.
    """

    when: When
    text: str
    cause: str
    who: str
    details: list[tuple[str, str]]
    attempt_id: str | None
    request_id: str | None


def actors_of(events: Sequence[Event]) -> frozenset[str]:
    """Return the ids of the users who did something."""
    actors = (_given(event).get("actor", "") for event in events)
    return frozenset(actor.removeprefix(USER) for actor in actors if actor.startswith(USER))


def write_timeline(events: Sequence[Event], currency: str, people: Mapping[str, str]) -> list[Entry]:
    """Write events as entries. ``people`` has the names of users, by their ids."""
    return [_entry(event, currency, people) for event in events]


def _entry(event: Event, currency: str, people: Mapping[str, str]) -> Entry:
    given = _given(event)
    actor = given.get("actor", "")
    return Entry(
        When(event.created_at),
        HAPPENED_TO.get((event.type, event.attempt_kind)) or HAPPENED.get(event.type, event.type),
        CAUSES.get(event.cause, event.cause),
        people.get(actor.removeprefix(USER), actor),
        _details(given, currency),
        event.attempt_id,
        event.request_id,
    )


def _given(event: Event) -> dict[str, str]:
    given: dict[str, str] = msgspec.json.decode(event.detail) if event.detail else {}
    return given


def _details(given: Mapping[str, str], currency: str) -> list[tuple[str, str]]:
    shown = dict(given)
    amount = given.get("amount", "")
    if amount.isdecimal():
        stated = given.get("currency", currency)
        shown["amount"] = amount_text(int(amount), stated) if stated in CURRENCIES else f"{amount} {stated}"
    return [(label, str(shown[name])) for name, label in DETAILS.items() if shown.get(name)]
