"""The secrets that answers show once: encrypted, and kept as long as the idempotency key, for who repeats the call."""

from typing import Final

import msgspec

from paidonce.encryption import Keyring
from paidonce.idempotency.store import Name

PURPOSE: Final = "idempotency_key.secret"


class StoredSecret(msgspec.Struct, frozen=True):
    """A secret, and who was shown it."""

    shown_to: str
    secret: str


_decode: Final = msgspec.json.Decoder(StoredSecret).decode


def seal_stored_secret(keyring: Keyring, kept: StoredSecret, name: Name) -> str:
    """Encrypt a secret for the row of one idempotency key; raises EncryptionKeyMissing."""
    return keyring.seal(msgspec.json.encode(kept), PURPOSE, *name)


def open_stored_secret(keyring: Keyring, sealed: str, name: Name) -> StoredSecret:
    """Decrypt a secret of an idempotency key's row; raises EncryptionKeyMissing, or ValueError where it was changed."""
    return _decode(keyring.open(sealed, PURPOSE, *name))
