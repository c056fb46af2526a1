"""What a key looks like: ``sk_test_`` or ``sk_live_``, 30 random characters, and 6 that check the rest.

The form is GitHub's: a prefix that a scanner can search for, and a checksum (CRC-32 in base 62) by which it, and this
service, tells a key from a text that only looks like one. 30 characters of base 62 are 178 random bits.
"""

import re
from hashlib import sha256
from typing import Final
from zlib import crc32

from paidonce.ids import BASE62
from paidonce.merchants.model import Mode

RANDOM_LENGTH: Final = 30
CHECKSUM_LENGTH: Final = 6  # The least that 32 bits fit into.
SHOWN_LENGTH: Final = 4  # Of the random part: enough to tell keys apart, and 154 bits stay unknown.
SECRET: Final = re.compile(rf"sk_(?:test|live)_[0-9A-Za-z]{{{RANDOM_LENGTH + CHECKSUM_LENGTH}}}")


def make_secret(mode: Mode, drawn: str) -> str:
    """Make a key of 30 characters that chance drew."""
    assert len(drawn) == RANDOM_LENGTH, "fewer would be guessed sooner"
    body = f"sk_{mode}_{drawn}"
    return body + _checksum(body)


def is_well_formed(secret: str) -> bool:
    """Tell whether a text can be a key; the answer is public knowledge, so it need not take the same time."""
    return SECRET.fullmatch(secret) is not None and _checksum(secret[:-CHECKSUM_LENGTH]) == secret[-CHECKSUM_LENGTH:]


def hash_secret(secret: bytes) -> str:
    """Make what is stored of a key. With 178 random bits behind it a quick hash is as safe as a slow one."""
    return sha256(secret).hexdigest()


def show_secret(secret: str) -> str:
    """Shorten a key to what tells it apart for its owner: ``sk_test_4f0x…``."""
    return f"{secret[: len(secret) - RANDOM_LENGTH - CHECKSUM_LENGTH + SHOWN_LENGTH]}…"


def _checksum(body: str) -> str:
    left, digits = crc32(body.encode()), []
    for _ in range(CHECKSUM_LENGTH):
        left, digit = divmod(left, len(BASE62))
        digits.append(BASE62[digit])
    return "".join(reversed(digits))
