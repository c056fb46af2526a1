"""Ids: a prefix for the kind, and a UUIDv7 in base32, so that ids sort by their time of creation.

The alphabet is RFC 4648's "extended hex" in lower case, whose order is that of the bytes. Random numbers come from here
too.
"""

import random
import secrets
from collections.abc import Callable
from typing import Final, TypeAlias

from uuid_utils import uuid7

CHECKOUT: Final = "chk"
ATTEMPT: Final = "att"
REFUND: Final = "ref"
EVENT: Final = "evt"
KEY: Final = "key"
REQUEST: Final = "req"
CHARGE: Final = "ch"
CHANGE: Final = "cg"
SESSION: Final = "ses"
ENDPOINT: Final = "whe"
DELIVERY: Final = "dlv"
REDELIVERY: Final = "rdl"
CLAIM: Final = "clm"
DISPUTE: Final = "dsp"
PROVIDER_ACCOUNT: Final = "pac"
USER: Final = "usr"
USER_SESSION: Final = "uss"
AUDIT_ENTRY: Final = "aud"

BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuv"
# Two digits at a time take less than half the time of the standard library's encoder. A request makes several ids.
_PAIRS: Final = [first + second for first in _DIGITS for second in _DIGITS]
_LOW_HALF: Final = (1 << 70) - 1
_UUID_BYTES: Final = 16
_PADDING_BITS: Final = 2

NewId: TypeAlias = Callable[[str], str]
"""Creates an id of the kind that the prefix names."""

Chance: TypeAlias = Callable[[], float]
"""Returns a random number from 0 up to 1. It is passed in, so that a seed can repeat it."""

Draw: TypeAlias = random.Random
"""A random number generator that is repeatable by its seed."""


def new_id(prefix: str) -> str:
    """Create an id such as ``chk_06f0q0h7pvsnb2c9vq3k1jv2rg``: 26 characters after the prefix."""
    number = uuid7().int << _PADDING_BITS  # 128 bits and two of padding are 13 pairs of digits.
    # Two halves and no loop are a third faster, because shifting small numbers is cheaper.
    a, b, two = number >> 70, number & _LOW_HALF, _PAIRS
    high = f"{two[a >> 50]}{two[a >> 40 & 1023]}{two[a >> 30 & 1023]}{two[a >> 20 & 1023]}{two[a >> 10 & 1023]}"
    low = f"{two[b >> 50 & 1023]}{two[b >> 40 & 1023]}{two[b >> 30 & 1023]}{two[b >> 20 & 1023]}{two[b >> 10 & 1023]}"
    return f"{prefix}_{high}{two[a & 1023]}{two[b >> 60]}{low}{two[b & 1023]}"


def bytes_of(written: str) -> bytes:
    """Return the 16 bytes of an id that ``new_id`` created."""
    return (int(written.rpartition("_")[2], 32) >> _PADDING_BITS).to_bytes(_UUID_BYTES)


def id_from_bytes(prefix: str, value: bytes) -> str:
    """Return the id of this kind with these 16 bytes."""
    number = int.from_bytes(value) << _PADDING_BITS
    return f"{prefix}_{''.join(_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10))}"


def pattern(prefix: str) -> str:
    """Give the regular expression of ids of this kind."""
    return rf"{prefix}_[0-9a-v]{{26}}"


def lowest_id(prefix: str, milliseconds: int) -> str:
    """Return an id that is lower than all of this kind that are created at a time, in milliseconds, or later."""
    number = milliseconds << 82  # A UUIDv7 begins with 48 bits of time.
    return f"{prefix}_{''.join(_DIGITS[number >> shift & 31] for shift in range(125, -1, -5))}"


def milliseconds_of(created_id: str) -> int:
    """Return when an id was created, by the clock of the process that created it."""
    return int(created_id.rpartition("_")[2], 32) >> 82


def system_chance() -> float:
    """Return a random number for jitter. Never use it for secrets."""
    return random.random()


def draw_base62(length: int) -> str:
    """Return random characters for a secret, from the system's secure source."""
    return "".join(secrets.choice(BASE62) for _ in range(length))


def new_return_token() -> str:
    """Create the token of a return URL, which nobody can guess: 190 random bits."""
    return draw_base62(32)


def new_token() -> str:
    """Create a token that nobody can guess: 250 random bits. It identifies a session, a one-time link or a form."""
    return draw_base62(42)


def secret_bytes(length: int) -> bytes:
    """Return random bytes for keys and secrets, from the system's secure source."""
    return secrets.token_bytes(length)


def new_seed() -> int:
    """Return a random seed that is short enough to type."""
    return random.randrange(1_000_000)


def seeded(seed: int | str) -> Draw:
    """Return a generator that is repeatable by its seed."""
    return Draw(seed)
