"""Stripe's webhooks: their signature, and what they tell.

From "Receive Stripe events in your webhook endpoint" (docs.stripe.com/webhooks, read 2026-11): ``Stripe-Signature``
holds ``t``, a Unix time, and one or more ``v1``, each the HMAC-SHA256 of ``t.body`` with the endpoint's secret as it is
written. While a secret is rolled there are two.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final, TypeVar

from paidonce.clock import Instant
from paidonce.providers.answers import read_webhook_object
from paidonce.providers.evidence import Declined, Evidence, ExternalChange, Notice, Opened, RequiresAction
from paidonce.providers.stripe import external_changes, responses
from paidonce.providers.stripe.wire import (
    HOSTED,
    KEY,
    SESSION,
    Charge,
    Dispute,
    Event,
    PaymentIntent,
    Refund,
    Session,
)

HEADER: Final = "stripe-signature"
SKEW_SECONDS_MAX: Final = 300  # As in Stripe's own libraries.
SIGNATURES_MAX: Final = 8  # The limit bounds the work for a malicious header.

SESSION_EVENTS: Final = frozenset(
    {"checkout.session.completed", "checkout.session.async_payment_succeeded", "checkout.session.expired"}
)
SESSION_FAILED: Final = "checkout.session.async_payment_failed"
INTENT_EVENTS: Final = frozenset(
    {
        "payment_intent.amount_capturable_updated",
        "payment_intent.canceled",
        "payment_intent.payment_failed",
        "payment_intent.processing",
        "payment_intent.requires_action",
        "payment_intent.succeeded",
    }
)
REFUND_EVENTS: Final = frozenset({"refund.created", "refund.updated", "refund.failed"})
# An inquiry becomes a dispute by "updated".
DISPUTE_EVENTS: Final = frozenset({"charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed"})
CHARGED: Final = "charge.succeeded"
EVENTS: Final = (
    *sorted(SESSION_EVENTS | {SESSION_FAILED}),
    *sorted(INTENT_EVENTS),
    *sorted(REFUND_EVENTS),
    *sorted(DISPUTE_EVENTS | {CHARGED}),
)

T = TypeVar("T")


def is_signed(secret: str, headers: Mapping[str, str], body: bytes, *, now: Instant) -> bool:
    """Return whether a signature is valid and its time is near ``now``. Header names are case-insensitive."""
    header = next((value for name, value in headers.items() if name.lower() == HEADER), "")
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit()):
        return False
    if abs(now // 1000 - int(times[0][:20])) > SKEW_SECONDS_MAX:
        return False
    expected = hmac.digest(secret.encode(), times[0].encode() + b"." + body, hashlib.sha256).hex().encode()
    given = [value.encode(errors="replace") for name, _, value in parts if name == "v1"][:SIGNATURES_MAX]
    # All are compared, each in constant time, so that the duration reveals nothing about the right one.
    matches = [hmac.compare_digest(expected, one) for one in given]
    return any(matches)


def read(body: bytes, *, live: bool) -> Notice:
    """Read a webhook whose signature is valid; raises MalformedBody where it is not one of Stripe's events."""
    event = read_webhook_object(body, Event, "Stripe")
    key, statement = _statement(event)
    reference = statement.reference if isinstance(statement, Declined) and statement.kind == "charge" else None
    if key is None:  # It is not about an operation of ours. Perhaps somebody has changed our charge.
        reference, statement = _external_change(event)
    if (key or reference) is None or statement is None or event.livemode is not live:
        return Notice(event.id, None, None)
    return Notice(event.id, key, statement, reference)


def _external_change(event: Event) -> tuple[str | None, ExternalChange | None]:
    """Return what was done to a charge without a request of ours, and to which PaymentIntent."""
    content = bytes(event.data.object)
    if event.type in REFUND_EVENTS:
        refund = read_webhook_object(content, Refund, "Stripe")
        return refund.payment_intent, external_changes.of_refund(refund)
    if event.type in DISPUTE_EVENTS:
        dispute = read_webhook_object(content, Dispute, "Stripe")
        return dispute.payment_intent, external_changes.of_dispute(dispute)
    return None, None


def _statement(event: Event) -> tuple[str | None, Evidence | ExternalChange | None]:
    """Return what an event tells: our key of the operation, and the evidence."""
    content = bytes(event.data.object)
    if event.type in INTENT_EVENTS:
        intent = read_webhook_object(content, PaymentIntent, "Stripe")
        return intent.metadata.get(KEY), _of_intent_event(intent)
    if event.type in SESSION_EVENTS:
        session = read_webhook_object(content, Session, "Stripe")
        return session.metadata.get(KEY), responses.of_session_event(session)
    if event.type == SESSION_FAILED:
        session = read_webhook_object(content, Session, "Stripe")
        return session.metadata.get(KEY), responses.of_failed_session(session)
    if event.type in REFUND_EVENTS:
        refund = read_webhook_object(content, Refund, "Stripe")
        return (refund.metadata or {}).get(KEY), responses.of_refund(refund)
    if event.type == CHARGED:
        charge = read_webhook_object(content, Charge, "Stripe")
        return charge.metadata.get(KEY), responses.of_charge_event(charge)
    return None, None


def _of_intent_event(intent: PaymentIntent) -> Evidence | ExternalChange | None:
    evidence = responses.of_charge(intent)
    if intent.status == "canceled" and responses.was_authorized(intent):
        return external_changes.of_canceled(intent)  # By a void of ours, too.
    if intent.metadata.get(SESSION) == HOSTED and intent.status not in responses.MONEY_MAY_HAVE_MOVED:
        return None  # The session decides: its buyer may try another card, and acts on Stripe's page.
    if isinstance(evidence, RequiresAction) and intent.is_embedded:
        return None  # The buyer may try another card, on the merchant's page.
    if isinstance(evidence, Declined) and intent.status != "canceled":
        return Opened(intent.id)  # It could be confirmed again: a look-up makes the decline final.
    return evidence
