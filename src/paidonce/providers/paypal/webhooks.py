"""PayPal's webhooks: their signature, and what they tell.

From "Integrate webhooks" and "Webhook event names" (developer.paypal.com/api/rest/webhooks, read 2026-11): the header
``paypal-transmission-sig`` is the RSA signature, with SHA-256, of ``transmission id|time|webhook id|CRC-32 of the
body``, by the key of the certificate at ``paypal-cert-url``. PayPal tries up to 25 times in 3 days.
"""

import base64
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from paidonce.clock import Instant
from paidonce.providers.answers import read_webhook_object
from paidonce.providers.evidence import AuthorizationEnded, Evidence, ExternalChange, Notice, Opened
from paidonce.providers.paypal import disputes, responses
from paidonce.providers.paypal.wire import CLOSED_BY, REFUND, Dispute, Event, Order, Payment

ALGORITHM: Final = "SHA256withRSA"
HEADER_LENGTH_MAX: Final = 1024
AGE_MS_MAX: Final = 4 * 24 * 60 * 60 * 1000  # PayPal repeats a webhook for 3 days, with the same time.
SKEW_MS_MAX: Final = 300_000

APPROVED: Final = "CHECKOUT.ORDER.APPROVED"
CAPTURES: Final = frozenset(
    {"PAYMENT.CAPTURE.COMPLETED", "PAYMENT.CAPTURE.DECLINED", "PAYMENT.CAPTURE.DENIED", "PAYMENT.CAPTURE.PENDING"}
)
AUTHORIZED: Final = "PAYMENT.AUTHORIZATION.CREATED"
VOIDED: Final = "PAYMENT.AUTHORIZATION.VOIDED"
REFUNDS: Final = frozenset({"PAYMENT.CAPTURE.REFUNDED", "PAYMENT.REFUND.FAILED", "PAYMENT.REFUND.PENDING"})
DISPUTES: Final = frozenset({"CUSTOMER.DISPUTE.CREATED", "CUSTOMER.DISPUTE.UPDATED", "CUSTOMER.DISPUTE.RESOLVED"})
EVENTS: Final = (APPROVED, AUTHORIZED, VOIDED, *sorted(CAPTURES), *sorted(REFUNDS), *sorted(DISPUTES))

T = TypeVar("T")


class Signature(msgspec.Struct, frozen=True):
    """The signature of a webhook: ``message`` is what must be signed."""

    cert_url: str
    message: bytes
    signed: bytes

    def is_by(self, key: RSAPublicKey) -> bool:
        """Return whether this key made the signature."""
        try:
            key.verify(self.signed, self.message, PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True


def signature_of(webhook_id: str, headers: Mapping[str, str], body: bytes, *, now: Instant) -> Signature | None:
    """Read the signature of a webhook; None where it is missing, unreadable or too old. Header names are
    case-insensitive.
    """
    given = {name.lower(): value for name, value in headers.items() if name.lower().startswith("paypal-")}
    names = ("transmission-id", "transmission-time", "transmission-sig", "cert-url", "auth-algo")
    transmission, time, signed, cert_url, algorithm = (given.get(f"paypal-{name}", "") for name in names)
    if algorithm != ALGORITHM or any(len(value) > HEADER_LENGTH_MAX for value in given.values()):
        return None
    try:
        sent_at = datetime.fromisoformat(time)
        content = base64.b64decode(signed, validate=True)
        message = f"{transmission}|{time}|{webhook_id}|{zlib.crc32(body)}".encode()
    except ValueError:
        return None
    if sent_at.tzinfo is None or not -SKEW_MS_MAX <= now - int(sent_at.timestamp() * 1000) <= AGE_MS_MAX:
        return None
    return Signature(cert_url, message, content)


def read(body: bytes, *, now: Instant) -> Notice:
    """Read a webhook whose signature is valid; raises MalformedBody where it is not one of PayPal's events."""
    event = read_webhook_object(body, Event, "PayPal")
    content = bytes(event.resource)
    if event.event_type == APPROVED:
        order = read_webhook_object(content, Order, "PayPal")
        return _notice(event, order.key, None if order.closed_by else Opened(order.id))
    if event.event_type == AUTHORIZED:
        payment = read_webhook_object(content, Payment, "PayPal")
        return _notice(event, _key_of_order(payment), responses.of_authorization(payment))
    if event.event_type == VOIDED:
        payment = read_webhook_object(content, Payment, "PayPal")
        is_expired = payment.expires_at is not None and payment.expires_at <= now
        return _notice(event, _key_of_order(payment), AuthorizationEnded("expired" if is_expired else "canceled"))
    if event.event_type in CAPTURES:
        payment = read_webhook_object(content, Payment, "PayPal")
        # A capture of an authorization has the custom_id of the order, too. Its own key is the invoice_id.
        if payment.invoice_id or payment.related("authorizations"):
            return _notice(event, payment.invoice_id, responses.of_capture(payment, "capture"))
        return _notice(event, _key_of_order(payment), responses.of_capture(payment, "charge"))
    if event.event_type in REFUNDS:
        payment = read_webhook_object(content, Payment, "PayPal")
        if payment.custom_id and payment.custom_id.startswith(REFUND):
            return _notice(event, payment.custom_id.removeprefix(REFUND), responses.of_refund(payment))
        found, charge = responses.of_refund_in_dashboard(payment), payment.related("captures")
        return _notice(event, _key_of_order(payment), found, charge)
    if event.event_type in DISPUTES:
        return _notice(event, None, *disputes.of_dispute(read_webhook_object(content, Dispute, "PayPal")))
    return Notice(event.id, None, None)


def _notice(
    event: Event, key: str | None, evidence: Evidence | ExternalChange | None, reference: str | None = None
) -> Notice:
    """Return what an event tells, where it tells of an operation of ours."""
    if evidence is None or not (key or reference):
        return Notice(event.id, None, None)
    return Notice(event.id, key, evidence, reference)


def _key_of_order(payment: Payment) -> str | None:
    return payment.custom_id and payment.custom_id.partition(CLOSED_BY)[0]
