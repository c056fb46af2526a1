"""Reads Example Pay's webhooks: ``Example-Signature: t=<seconds>,v1=<HMAC-SHA256 of "seconds.body", as hex>``."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final

from paidonce.clock import Instant
from paidonce.providers.answers import read_webhook_object
from paidonce.providers.evidence import Declined, Notice, RequiresAction
from tests.connector_template.connector.responses import of_payment
from tests.connector_template.connector.wire import Webhook

SIGNATURE: Final = "example-signature"
AGE_SECONDS_MAX: Final = 300


def is_signed(secret: str, headers: Mapping[str, str], body: bytes, *, now: Instant) -> bool:
    """Tell whether the signature of the raw body is valid and recent. Names of headers are case-insensitive."""
    given = next((value for name, value in headers.items() if name.lower() == SIGNATURE), "")
    parts = re.fullmatch(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})", given)
    if parts is None or abs(now // 1000 - int(parts[1])) > AGE_SECONDS_MAX:
        return False
    wanted = hmac.digest(secret.encode(), parts[1].encode() + b"." + body, hashlib.sha256).hex()
    return hmac.compare_digest(wanted, parts[2])


def read(body: bytes) -> Notice:
    """Read a webhook whose signature is valid; raises MalformedBody."""
    webhook = read_webhook_object(body, Webhook, "Example Pay")
    if webhook.payment is None:
        return Notice(webhook.id, None, None)
    evidence = of_payment(webhook.payment)
    # That a buyer still has time is no news. An end is that of this payment, and not of another one with the same key.
    return Notice(
        webhook.id,
        webhook.payment.key,
        None if isinstance(evidence, RequiresAction) else evidence,
        webhook.payment.id if isinstance(evidence, Declined) else None,
    )
