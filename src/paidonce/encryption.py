"""Encryption of stored secrets: AES-256-GCM, with keys that only the operator has.

A sealed text is ``v1.<key id>.<nonce and ciphertext, base64url>``. Its context is authenticated with it, so that the
secret of one row cannot be used in another row. The first key encrypts and all keys decrypt, so that a key can be
replaced.
"""

import hashlib
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from paidonce.errors import EncryptionKeyMissing

KEY_PREFIX: Final = "pek_"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12  # As GCM requires. Random for each secret, of which there are far fewer than 2^32.
VERSION: Final = "v1"

Draw = Callable[[int], bytes]
"""Returns this number of random bytes."""


def write_key(key: bytes) -> str:
    """Format a key as it is written in the setting."""
    return KEY_PREFIX + urlsafe_b64encode(key).decode().rstrip("=")


def read_keys(text: str) -> list[bytes]:
    """Parse comma-separated keys; raises ValueError, whose message never contains a key."""
    return [_read_key(one.strip()) for one in text.split(",") if one.strip()]


def _read_key(text: str) -> bytes:
    try:
        key = urlsafe_b64decode(text.removeprefix(KEY_PREFIX) + "=") if text.startswith(KEY_PREFIX) else b""
    except (Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        message = (
            f"a key is {KEY_PREFIX} and {KEY_BYTES} bytes in base64url; `paidonce encryption-key` prints a new one"
        )
        raise ValueError(message)
    return key


def key_id(key: bytes) -> str:
    """Return an id of a key that reveals nothing about it."""
    return hashlib.sha256(b"paidonce encryption key id\0" + key).hexdigest()[:12]


class Keyring:
    """The encryption keys of a process. ``find`` is called when they are first needed."""

    def __init__(self, find: Callable[[], Sequence[bytes]], *, draw: Draw) -> None:
        self._find = find
        self._draw = draw
        self._keys: dict[str, bytes] = {}

    def seal(self, secret: bytes, *about: str) -> str:
        """Encrypt a secret in the context ``about``, with the first key; raises EncryptionKeyMissing."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        name, key = next(iter(self._known().items()))
        nonce = self._draw(NONCE_BYTES)
        sealed = nonce + AESGCM(key).encrypt(nonce, secret, _joined(about))
        return f"{VERSION}.{name}.{urlsafe_b64encode(sealed).decode()}"

    def open(self, sealed: str, *about: str) -> bytes:
        """Decrypt a secret with its context; raises EncryptionKeyMissing, or ValueError where it was tampered with."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        version, _, rest = sealed.partition(".")
        name, _, text = rest.partition(".")
        if version != VERSION:
            message = f"this release does not know the encryption format {version}"
            raise ValueError(message)
        key = self._known().get(name)
        if key is None:
            raise EncryptionKeyMissing(name)
        nonce_and_text = urlsafe_b64decode(text)
        try:
            return AESGCM(key).decrypt(nonce_and_text[:NONCE_BYTES], nonce_and_text[NONCE_BYTES:], _joined(about))
        except InvalidTag:
            message = "an encrypted secret was changed, or belongs to another row"
            raise ValueError(message) from None

    def derive(self, purpose: str, length: int) -> list[bytes]:
        """Derive a key of ``length`` bytes for another purpose from each key, in their order: HKDF with SHA-256.

        Raises EncryptionKeyMissing.
        """
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        info = b"paidonce " + purpose.encode()
        return [HKDF(SHA256(), length, salt=None, info=info).derive(key) for key in self._known().values()]

    def is_current(self, sealed: str) -> bool:
        """Return whether a text is encrypted with the first key."""
        return sealed.startswith(f"{VERSION}.{next(iter(self._known()))}.")

    def _known(self) -> dict[str, bytes]:
        if not self._keys:
            self._keys = {key_id(key): key for key in self._find()}
        if not self._keys:
            raise EncryptionKeyMissing
        return self._keys


def _joined(about: Sequence[str]) -> bytes:
    """Join texts so that different lists always give different bytes."""
    return b"".join(len(one.encode()).to_bytes(4) + one.encode() for one in about)


def read_or_create_key_file(path: Path, *, make: Draw | None) -> list[bytes]:
    """Read the key from a file that only its owner can read. With ``make``, create the file if it does not exist.

    The file and its directory entry are on disk when this returns, so that a committed secret can be read after a
    crash.
    """
    try:
        return read_keys(path.read_text())
    except FileNotFoundError:
        if make is None:
            return []
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(write_key(make(KEY_BYTES)) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # Unlike a rename, this fails where another process was first.
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return read_keys(path.read_text())


def key_finder(keys: str, file: Path | None, *, make: Draw | None) -> Callable[[], list[bytes]]:
    """Return a function that finds the encryption keys: those of the setting, else the one in the file.

    With ``make`` a file that does not exist is created. Beside a database in memory there can be no file, and the key
    lives as long as the process.
    """
    configured = read_keys(keys)

    def find() -> list[bytes]:
        if configured:
            return configured
        if file is not None:
            return read_or_create_key_file(file, make=make)
        return [make(KEY_BYTES)] if make is not None else []

    return find
