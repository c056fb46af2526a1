"""Tokens of checkouts: what a buyer's link holds instead of the id. Who has the token can pay, and can do nothing else.

A token is the id, encrypted by AES-SIV under a key that is derived from the encryption keys. So it is the same whenever
it is asked for, nobody can make one, and nothing is stored (docs/decisions/0047).
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from paidonce import ids
from paidonce.encryption import Keyring
from paidonce.errors import EncryptionKeyMissing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

PURPOSE: Final = "checkout page token"
KEY_BYTES: Final = 32  # AES-128-SIV takes two keys of 16 bytes. It is half as slow as AES-256-SIV.
# 16 bytes that authenticate the id, and the 16 of the id, in base64url.
FORMAT: Final = re.compile("[A-Za-z0-9_-]{43}")


class PageTokens:
    """Makes and reads the tokens of checkouts; without ``is_on`` or without an encryption key there are none."""

    def __init__(self, keyring: Keyring, *, is_on: bool) -> None:
        self._keyring = keyring
        self._is_on = is_on
        self._ciphers: Sequence[AESSIV] | None = None

    @property
    def exist(self) -> bool:
        """Whether checkouts have tokens in this process."""
        return bool(self._known())

    def token_of(self, checkout_id: str) -> str | None:
        """Return the token of a checkout; None where there are none."""
        ciphers = self._known()
        return _written(ciphers[0].encrypt(ids.bytes_of(checkout_id), None)) if ciphers else None

    def checkout_id_of(self, token: str) -> str | None:
        """Return the id of the checkout with this token, under any of the keys; None where it is no token of ours."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - a start need not wait for it

        sealed = urlsafe_b64decode(token + "=") if FORMAT.fullmatch(token) else b""
        if _written(sealed) != token:  # The last character has two bits to spare: there is one spelling.
            return None
        for cipher in self._known():
            try:
                return ids.id_from_bytes(ids.CHECKOUT, cipher.decrypt(sealed, None))
            except InvalidTag:
                continue
        return None

    def _known(self) -> "Sequence[AESSIV]":
        """Derive the keys once: which there are does not change while the process runs."""
        if self._ciphers is None:
            self._ciphers = self._derived() if self._is_on else ()
        return self._ciphers

    def _derived(self) -> "Sequence[AESSIV]":
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV  # noqa: PLC0415 - as above

        try:
            return [AESSIV(key) for key in self._keyring.derive(PURPOSE, KEY_BYTES)]
        except EncryptionKeyMissing:
            return ()


def _written(sealed: bytes) -> str:
    return urlsafe_b64encode(sealed)[:-1].decode()
