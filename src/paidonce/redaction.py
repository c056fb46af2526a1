"""Finds card numbers, keys and secrets. They are refused in requests, and masked in logs."""

import re
from typing import Final

# Thirteen to nineteen digits (ISO/IEC 7812), with or without separators, that begin like a payment card number.
CARD_NUMBER: Final = re.compile(r"(?<![0-9])[2-6][0-9](?:[ _-]?[0-9]){11,17}(?![0-9])")
GROUPED: Final = re.compile(r"[0-9]{4}[ -][0-9]{4,6}[ -]")
KEY: Final = re.compile(r"\b(sk|rk|pk|whsec)_[A-Za-z0-9+/=_-]{8,}")

_MASKS: Final = (
    (KEY, r"\1_…"),
    (re.compile(r"\b(pek)_[A-Za-z0-9_-]{8,}"), r"\1_…"),
    (re.compile(r"\b(live|test|access)_[A-Za-z0-9]{24,}"), r"\1_…"),  # As Mollie's keys are.
    (re.compile(r"\b(Bearer|Basic)(\s+)[^\s\"'\\,]+", re.IGNORECASE), r"\1\2…"),
    # The token of a checkout's page, of a return URL and of a one-time link: whoever has it can pay, see, or log in.
    (re.compile(r"(/(?:pay|return|dashboard/login)/)[A-Za-z0-9_-]{32,}"), r"\1…"),
    (re.compile(r"(://[^\s/:@\"]*:)[^\s/@\"]+@"), r"\1…@"),
    # Error messages of PostgreSQL contain whole rows.
    (re.compile(r"(Failing row contains \().*?(?=\\n|\n|$)"), r"\1…)"),
    (re.compile(r"(Key \([^)]*\)=\().*?(\) (?:already exists|is not present|is still))"), r"\1…\2"),
)


def holds_card_number(text: str) -> bool:
    """Return whether a text contains what looks like a card number, by its length, first digit and check digit."""
    return any(passes_luhn(re.sub(r"[ _-]", "", found[0])) for found in CARD_NUMBER.finditer(text))


def holds_secret(text: str) -> bool:
    """Return whether a text contains what looks like a key, a signing secret or a card number."""
    return KEY.search(text) is not None or holds_card_number(text)


def passes_luhn(digits: str) -> bool:
    """Return whether the last digit is the check digit of the others (Luhn)."""
    backwards = digits.encode()[::-1]
    return (sum(backwards[::2].translate(_PLAIN)) + sum(backwards[1::2].translate(_DOUBLED))) % 10 == 0


# The value of a digit, and the digit sum of its double, as byte tables: fast for long texts.
_PLAIN: Final = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED: Final = bytes.maketrans(b"0123456789", bytes([0, 2, 4, 6, 8, 1, 3, 5, 7, 9]))


def redact(text: str) -> str:
    """Mask secrets in a log line. This is the last line of defence, since no secret should get there."""
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    return CARD_NUMBER.sub(_mask_card_number, text)


def _mask_card_number(found: re.Match[str]) -> str:
    return "…" if passes_luhn(re.sub(r"[ _-]", "", found[0])) else found[0]
