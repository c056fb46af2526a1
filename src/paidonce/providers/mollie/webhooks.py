"""Mollie's webhooks: what they are signed with, and what they tell.

There are two generations. A classic webhook ("Webhooks", docs.mollie.com/reference/webhooks) goes to the ``webhookUrl``
of a payment, and its form holds nothing but the payment's id. It is not signed, so that it is believed only that this
payment may have changed. A next-gen webhook ("Next-gen Webhooks", docs.mollie.com/reference/webhooks-new) goes to a URL
that is set in the dashboard, and holds an event with the object as the API returns it. ``X-Mollie-Signature`` is the
HMAC-SHA256 of the raw body in hexadecimal after ``sha256=``, with the secret as it is written; while a secret is
replaced, any of several may match (SignatureValidator in github.com/mollie/mollie-api-php). No time is signed: an event
is stored once by its id, and what it tells stays true. All read 2026-11.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeVar
from urllib.parse import parse_qs

from paidonce.clock import Clock
from paidonce.errors import RateLimited
from paidonce.providers.answers import read_webhook_object
from paidonce.providers.decline_codes import DECLINED
from paidonce.providers.evidence import (
    AuthorizationEnded,
    Declined,
    Dispute,
    Evidence,
    ExternalChange,
    ExternalRefund,
    Notice,
)
from paidonce.providers.mollie import responses
from paidonce.providers.mollie.amounts import from_mollie
from paidonce.providers.mollie.wire import Capture, Chargeback, Entity, Event, Payment, Refund, key_in

HEADER: Final = "x-mollie-signature"
PREFIX: Final = "sha256="
SIGNATURES_MAX: Final = 8  # The limit bounds the work for a malicious header.
PAYMENT_ID: Final = re.compile(r"tr_[A-Za-z0-9]{4,64}")
FORM_BYTES_MAX: Final = 256

# Each unsigned webhook costs a request to Mollie, and anybody can send one.
UNSIGNED_PER_SECOND: Final = 20
UNSIGNED_BURST: Final = 200
UNSIGNED_AT_ONCE: Final = 8

NOT_OURS: Final = Notice("not-ours", None, None)
"""All unsigned webhooks about payments of others share one id: strangers cannot fill the table of webhooks."""

_REFUND_STATUSES: Final[Mapping[str, Literal["pending", "succeeded", "failed"]]] = {
    "queued": "pending",
    "pending": "pending",
    "processing": "pending",
    "refunded": "succeeded",
    "failed": "failed",
    "canceled": "failed",
}

T = TypeVar("T")


def signatures_in(headers: Mapping[str, str]) -> list[str]:
    """Return the signatures of a webhook; none where it is a classic one. Header names are case-insensitive."""
    values = [value for name, value in headers.items() if name.lower() == HEADER]
    return [one.strip().removeprefix(PREFIX) for value in values for one in value.split(",")]


def is_signed(secrets: Iterable[str], signatures: Sequence[str], body: bytes) -> bool:
    """Return whether one of the signatures is made with one of the secrets."""
    given = [one.encode(errors="replace") for one in signatures[:SIGNATURES_MAX]]
    expected = [hmac.digest(secret.encode(), body, hashlib.sha256).hex().encode() for secret in secrets]
    # All are compared, each in constant time, so that the duration reveals nothing about the right one.
    matches = [hmac.compare_digest(one, other) for one in expected for other in given]
    return any(matches)


def payment_id_in(body: bytes) -> str | None:
    """Return the id in a classic webhook; None where the body is something else."""
    if len(body) > FORM_BYTES_MAX:
        return None
    form = parse_qs(body.decode("ascii", errors="replace"))
    ids = form.get("id", [])
    return ids[0] if len(ids) == 1 and PAYMENT_ID.fullmatch(ids[0]) else None


def read_event(body: bytes) -> Event:
    """Read a webhook whose signature is valid; raises MalformedBody where it is not one of Mollie's events."""
    return read_webhook_object(body, Event, "Mollie")


def entity_of(event: Event, mode: str) -> Payment | Capture | Refund | Chargeback | None:
    """Return the object of an event; None where it is in the other mode, or says nothing about payments."""
    content = bytes(event.embedded.entity) if event.embedded else b"{}"
    entity = read_webhook_object(content, Entity, "Mollie")
    if entity.mode not in (None, mode):
        return None
    match entity.resource:
        case "payment":
            return read_webhook_object(content, Payment, "Mollie")
        case "capture":
            return read_webhook_object(content, Capture, "Mollie")
        case "refund":
            return read_webhook_object(content, Refund, "Mollie")
        case "chargeback":
            return read_webhook_object(content, Chargeback, "Mollie")
        case _:
            return None


def of_payment(notice_id: str, payment: Payment) -> Notice:
    """Return what a payment tells about itself."""
    key = key_in(payment.metadata)
    if key is None:
        return Notice(notice_id, None, None)
    if payment.status == "open":
        return Notice(notice_id, key, None)
    evidence: Evidence | ExternalChange = responses.of_charge(payment)
    if payment.is_manual and payment.authorized_at is not None:
        if payment.status == "canceled":
            evidence = AuthorizationEnded("canceled")
        elif payment.status == "expired":
            evidence = AuthorizationEnded("expired")
    return Notice(notice_id, key, evidence, payment.id if isinstance(evidence, Declined) else None)


def of_refund(notice_id: str, refund: Refund, payment_key: str | None) -> Notice:
    """Return what a refund tells: one of ours about itself, another one about its payment."""
    key, status = key_in(refund.metadata), _REFUND_STATUSES.get(refund.status)
    if key is not None:
        return Notice(notice_id, key, responses.of_refund(refund))
    money = from_mollie(refund.amount)
    if money is None or status is None:
        return Notice(notice_id, None, None)
    declined = (DECLINED, refund.status) if status == "failed" else (None, None)
    change = ExternalRefund(refund.id, status, money.amount, money.currency, *declined)
    return Notice(notice_id, payment_key, change, refund.payment_id)


def of_chargeback(notice_id: str, chargeback: Chargeback, payment_key: str | None) -> Notice:
    """Return what a chargeback tells about its payment. One that was reversed has given the money back."""
    money = from_mollie(chargeback.amount)
    if money is None:
        return Notice(notice_id, None, None)
    status: Literal["opened", "won"] = "opened" if chargeback.reversed_at is None else "won"
    reason = chargeback.reason.code if chargeback.reason else None
    dispute = Dispute(chargeback.id, status, money.amount, money.currency, reason)
    return Notice(notice_id, payment_key, dispute, chargeback.payment_id)


def of_all(payment: Payment, captures: Iterable[tuple[Capture, Evidence]]) -> list[Notice]:
    """Return what a payment tells that was retrieved with all that belongs to it. ``captures`` are those of ours.

    The ids name the statuses, so that the same news is stored once, however often an unsigned webhook comes.
    """
    key = key_in(payment.metadata)
    if key is None:
        return [NOT_OURS]
    return [
        of_payment(f"{payment.id}.{payment.status}", payment),
        *(Notice(f"{one.id}.{type(evidence).__name__}", key_in(one.metadata), evidence) for one, evidence in captures),
        *(of_refund(f"{one.id}.{one.status}", one, key) for one in payment.embedded.refunds),
        *(
            of_chargeback(f"{one.id}.{'reversed' if one.reversed_at else 'received'}", one, key)
            for one in payment.embedded.chargebacks
        ),
    ]


class UnsignedLimit:
    """Limits how many unsigned webhooks are asked about: at once, and in time (a token bucket)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._interval_ms: Final = 1000 / UNSIGNED_PER_SECOND
        self._full_at: float = 0
        self._running = 0

    def __enter__(self) -> None:
        """Take a place; raises RateLimited where there is none. Mollie sends the webhook again."""
        now = self._clock()
        used_ms = max(0.0, self._full_at - now) + self._interval_ms
        over_ms = used_ms - UNSIGNED_BURST * self._interval_ms
        if over_ms > 0 or self._running >= UNSIGNED_AT_ONCE:
            raise RateLimited(max(1.0, over_ms / 1000), "Too many webhooks without a signature. Send it again later.")
        self._full_at = now + used_ms
        self._running += 1

    def __exit__(self, *_: object) -> None:
        """Give the place back."""
        self._running -= 1
