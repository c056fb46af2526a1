"""The secrets of endpoints: ``whsec_…`` for their owners, sealed in the database, bare only while signing."""

from base64 import b64encode
from typing import Final

from paidonce.clock import Instant
from paidonce.encryption import Keyring
from paidonce.signing import SECRET_PREFIX
from paidonce.webhook_endpoints.model import WebhookEndpoint

SECRET_BYTES: Final = 32
PURPOSE: Final = "webhook_endpoint.secret"


def shorten_secret(secret: bytes) -> str:
    """Write a secret as its owner gets it."""
    return SECRET_PREFIX + b64encode(secret).decode()


def seal_secret(keyring: Keyring, secret: bytes, *, merchant_id: str, endpoint_id: str) -> str:
    """Encrypt a secret for the row of one endpoint; raises EncryptionKeyMissing."""
    return keyring.seal(secret, PURPOSE, merchant_id, endpoint_id)


def open_secret(keyring: Keyring, sealed: str, endpoint: WebhookEndpoint) -> bytes:
    """Decrypt a secret of an endpoint; raises EncryptionKeyMissing or ValueError."""
    return keyring.open(sealed, PURPOSE, endpoint.merchant_id, endpoint.id)


def signing_keys(keyring: Keyring, endpoint: WebhookEndpoint, *, now: Instant) -> list[bytes]:
    """Decrypt what signs now: the secret, and the one before while both do. Raises as ``open_secret``."""
    sealed = [endpoint.secret]
    if endpoint.former_secret_until is not None and now < endpoint.former_secret_until:
        sealed.append(endpoint.former_secret)
    return [open_secret(keyring, one, endpoint) for one in sealed if one is not None]
