"""Secrets that a response shows once. They are stored encrypted, as long as the idempotency key, for repeated
requests.
"""

from typing import Final

import msgspec

from paidonce.encryption import Keyring
from paidonce.idempotency.model import ScopedKey
from paidonce.merchants.model import Mode

PURPOSE: Final = "idempotency_key.secret"


class StoredSecret(msgspec.Struct, frozen=True):
    """A secret, and the caller that it was shown to."""

    shown_to: str
    secret: str


_decode: Final = msgspec.json.Decoder(StoredSecret).decode


def seal_stored_secret(keyring: Keyring, stored: StoredSecret, name: ScopedKey) -> str:
    """Encrypt a secret for the row of an idempotency key; raises EncryptionKeyMissing."""
    return keyring.seal(msgspec.json.encode(stored), PURPOSE, *_row(name))


def open_stored_secret(keyring: Keyring, sealed: str, name: ScopedKey) -> StoredSecret:
    """Decrypt the secret of an idempotency key's row. Raises EncryptionKeyMissing, or ValueError where it was
    tampered with.
    """
    return _decode(keyring.open(sealed, PURPOSE, *_row(name)))


def _row(name: ScopedKey) -> tuple[str, ...]:
    """Name the row that a secret is encrypted for. Those of test mode are named as before there were modes."""
    return (name.merchant_id, name.key) if name.mode == Mode.TEST else (name.merchant_id, name.mode, name.key)
