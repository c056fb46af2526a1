"""Ids: a prefix that tells the kind and a UUIDv7 in base32, so that ids sort by the time they were made.

The alphabet is RFC 4648's "extended hex" in lower case: its order is the order of the bytes. Chance lives here too.
"""

import random
from base64 import b32hexencode
from collections.abc import Callable
from typing import Final, TypeAlias

from uuid_utils import uuid7

CHECKOUT: Final = "chk"
ATTEMPT: Final = "att"
REFUND: Final = "ref"
EVENT: Final = "evt"
REQUEST: Final = "req"
CHARGE: Final = "ch"
CHANGE: Final = "cg"

NewId: TypeAlias = Callable[[str], str]
"""Makes an id of the kind that the prefix names."""

Chance: TypeAlias = Callable[[], float]
"""Draws a number from 0 up to 1; handed in, so that a seed can repeat it."""


def new_id(prefix: str) -> str:
    """Make an id such as ``chk_06f0q0h7pvsnb2c9vq3k1jv2rg``: 26 characters behind the prefix."""
    return f"{prefix}_{b32hexencode(uuid7().bytes).decode('ascii').rstrip('=').lower()}"


def system_chance() -> float:
    """Draw from the process's own generator; for jitter, never for secrets."""
    return random.random()
