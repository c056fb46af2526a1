"""The second factor: time-based one-time passwords (RFC 6238), and recovery codes for who has lost the device."""

from base64 import b32encode
from collections.abc import Sequence
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

import msgspec

from paidonce.clock import Instant
from paidonce.encryption import Keyring
from paidonce.ids import draw_base62, secret_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.twofactor.totp import TOTP

SECRET_BYTES: Final = 20  # As RFC 4226 recommends, and all apps take.
DIGITS: Final = 6
STEP_SECONDS: Final = 30
STEPS_AROUND: Final = 1  # A clock may be half a minute off, on either side.
RECOVERY_CODES: Final = 8
RECOVERY_LENGTH: Final = 12  # 71 random bits.
ISSUER: Final = "paidonce"
PURPOSE: Final = "second factor of a user"


def new_secret() -> bytes:
    """Draw a secret."""
    return secret_bytes(SECRET_BYTES)


def seal_totp_secret(keyring: Keyring, secret: bytes, user_id: str) -> str:
    """Encrypt a secret for its user; raises EncryptionKeyMissing."""
    return keyring.seal(secret, PURPOSE, user_id)


def open_totp_secret(keyring: Keyring, sealed: str, user_id: str) -> bytes:
    """Decrypt the secret of a user; raises EncryptionKeyMissing, or ValueError where it belongs to another."""
    return keyring.open(sealed, PURPOSE, user_id)


def secret_uri(secret: bytes, email: str) -> str:
    """Return the ``otpauth:`` URI that an app reads from a QR code."""
    return _totp(secret).get_provisioning_uri(email, ISSUER)


def secret_text(secret: bytes) -> str:
    """Write a secret as people type it into an app: base32, in groups of four."""
    text = b32encode(secret).decode()
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def matching_step(secret: bytes, code: str, now: Instant, used_step: int | None) -> int | None:
    """Return the time step that a code belongs to; None where it is wrong, or where its step was used before."""
    current = now // 1000 // STEP_SECONDS
    given = code.replace(" ", "").encode()
    for step in range(current - STEPS_AROUND, current + STEPS_AROUND + 1):
        is_new = used_step is None or step > used_step
        if is_new and compare_digest(_totp(secret).generate(step * STEP_SECONDS), given):
            return step
    return None


def new_recovery_codes() -> list[str]:
    """Draw recovery codes, each of which replaces a code of the app once."""
    return [draw_base62(RECOVERY_LENGTH) for _ in range(RECOVERY_CODES)]


def seal_recovery_codes(codes: Sequence[str]) -> str:
    """Return what is stored for recovery codes: their hashes."""
    return msgspec.json.encode([_hash(one) for one in codes]).decode()


def without_recovery_code(stored: str | None, code: str) -> str | None:
    """Return what is stored after a recovery code was used; None where it is none of them."""
    hashes: list[str] = msgspec.json.decode(stored) if stored else []
    used = _hash(code.strip())
    if not any(compare_digest(one, used) for one in hashes):
        return None
    return msgspec.json.encode([one for one in hashes if one != used]).decode()


def _hash(code: str) -> str:
    return sha256(code.encode()).hexdigest()


def _totp(secret: bytes) -> "TOTP":
    from cryptography.hazmat.primitives.hashes import SHA1
    from cryptography.hazmat.primitives.twofactor.totp import TOTP

    return TOTP(secret, DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303 - apps take no other
