"""The format of an API key: ``sk_test_`` or ``sk_live_``, 30 random characters, and a checksum of 6 characters.

The format is GitHub's: a prefix that secret scanners can search for, and a checksum (CRC-32 in base 62) that tells a
key from a text that only looks like one. 30 characters of base 62 hold 178 random bits.
"""

import re
from hashlib import sha256
from typing import Final
from zlib import crc32

from paidonce.ids import BASE62
from paidonce.merchants.model import Mode

RANDOM_LENGTH: Final = 30
CHECKSUM_LENGTH: Final = 6  # The fewest that hold 32 bits.
SHOWN_LENGTH: Final = 4  # Characters of the random part: enough to tell keys apart, and 154 bits stay secret.
SECRET: Final = re.compile(rf"sk_(?:test|live)_[0-9A-Za-z]{{{RANDOM_LENGTH + CHECKSUM_LENGTH}}}")


def make_secret(mode: Mode, random_part: str) -> str:
    """Make a key from its 30 random characters."""
    assert len(random_part) == RANDOM_LENGTH, "the random part has the wrong length"
    body = f"sk_{mode}_{random_part}"
    return body + _checksum(body)


def is_well_formed(secret: str) -> bool:
    """Return whether a text can be a key. This is public knowledge, so it need not run in constant time."""
    return SECRET.fullmatch(secret) is not None and _checksum(secret[:-CHECKSUM_LENGTH]) == secret[-CHECKSUM_LENGTH:]


def hash_secret(secret: bytes) -> str:
    """Return the hash that is stored for a key. With 178 random bits a fast hash is as safe as a slow one."""
    return sha256(secret).hexdigest()


def shorten_secret(secret: str) -> str:
    """Shorten a key so that its owner can recognize it: ``sk_test_4f0x…``."""
    return f"{secret[: len(secret) - RANDOM_LENGTH - CHECKSUM_LENGTH + SHOWN_LENGTH]}…"


def _checksum(body: str) -> str:
    left, digits = crc32(body.encode()), []
    for _ in range(CHECKSUM_LENGTH):
        left, digit = divmod(left, len(BASE62))
        digits.append(BASE62[digit])
    return "".join(reversed(digits))
