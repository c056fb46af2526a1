"""Secrets that a response shows once. They are stored encrypted, as long as the idempotency key, for repeated
requests.
"""

from typing import Final

import msgspec

from paidonce.encryption import Keyring
from paidonce.idempotency.store import ScopedKey

PURPOSE: Final = "idempotency_key.secret"


class StoredSecret(msgspec.Struct, frozen=True):
    """A secret, and the caller that it was shown to."""

    shown_to: str
    secret: str


_decode: Final = msgspec.json.Decoder(StoredSecret).decode


def seal_stored_secret(keyring: Keyring, stored: StoredSecret, name: ScopedKey) -> str:
    """Encrypt a secret for the row of an idempotency key; raises EncryptionKeyMissing."""
    return keyring.seal(msgspec.json.encode(stored), PURPOSE, *name)


def open_stored_secret(keyring: Keyring, sealed: str, name: ScopedKey) -> StoredSecret:
    """Decrypt the secret of an idempotency key's row. Raises EncryptionKeyMissing, or ValueError where it was
    tampered with.
    """
    return _decode(keyring.open(sealed, PURPOSE, *name))
