"""Signatures of the Standard Webhooks specification, for webhooks that are sent and for those that are received.

``webhook-signature`` holds one or more signatures ``v1,<base64>``: HMAC-SHA256 over ``id.timestamp.body``, with the raw
body. A secret is ``whsec_`` and base64. This module is below all features, because providers use it too.
"""

import binascii
import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Final

from paidonce.clock import Instant

SKEW_SECONDS_MAX: Final = 300  # Recommended by Standard Webhooks, against replayed messages.
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - how every secret begins
SECRET_BYTES_MIN: Final = 24  # The specification's limits.
SECRET_BYTES_MAX: Final = 64
SIGNATURES_MAX: Final = 8  # Two while a secret is rotated. The limit bounds the work for a malicious header.

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"


def read_secret(secret: str) -> bytes:
    """Read a ``whsec_…`` secret; raises ValueError, which never holds the secret."""
    if not secret.startswith(SECRET_PREFIX):
        message = f"a webhook secret must begin with {SECRET_PREFIX}"
        raise ValueError(message)
    try:
        key = b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        message = f"a webhook secret must be base64 after {SECRET_PREFIX}"
        raise ValueError(message) from None
    if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        message = f"a webhook secret must have {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes"
        raise ValueError(message)
    return key


def sign(key: bytes, *, message_id: str, timestamp_seconds: int, body: bytes) -> str:
    """Return the signature of a message: ``v1,<base64>``."""
    signed = b".".join((message_id.encode(), str(timestamp_seconds).encode(), body))
    return f"v1,{b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


def signed_headers(*keys: bytes, message_id: str, now: Instant, body: bytes) -> dict[str, str]:
    """Return the three headers of a message that is sent now. It is signed with two keys while a secret is rotated."""
    seconds = now // 1000
    signatures = [sign(key, message_id=message_id, timestamp_seconds=seconds, body=body) for key in keys]
    return {ID: message_id, TIMESTAMP: str(seconds), SIGNATURE: " ".join(signatures)}


def verified_id(key: bytes, headers: Mapping[str, str], body: bytes, *, now: Instant) -> str | None:
    """Return the id of a message where a signature is valid and the timestamp is near ``now``; else None.

    Header names are case-insensitive.
    """
    headers_by_name = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp, signatures = (headers_by_name.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE))
    if not (message_id.isascii() and message_id and timestamp.isascii() and timestamp.isdigit()):
        return None
    if abs(now // 1000 - int(timestamp[:20])) > SKEW_SECONDS_MAX:
        return None
    expected = sign(key, message_id=message_id, timestamp_seconds=int(timestamp[:20]), body=body).encode()
    # All are compared, each in constant time, so that the duration reveals nothing about the right one.
    given = signatures.split(" ")[:SIGNATURES_MAX]
    matches = [hmac.compare_digest(expected, one.encode(errors="replace")) for one in given]
    return message_id if any(matches) else None
