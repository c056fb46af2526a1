"""What must not be kept: card numbers, keys, secrets. Refused where they come in, masked where they would be logged."""

import re
from typing import Final

# Thirteen to nineteen digits (ISO/IEC 7812), at once or in groups as they are printed, of an issuer who makes cards.
CARD_NUMBER: Final = re.compile(r"(?<![0-9])[2-6][0-9](?:[ _-]?[0-9]){11,17}(?![0-9])")
GROUPED: Final = re.compile(r"[0-9]{4}[ -][0-9]{4,6}[ -]")
KEY: Final = re.compile(r"\b(sk|rk|pk|whsec)_[A-Za-z0-9+/=_-]{8,}")

_MASKS: Final = (
    (KEY, r"\1_…"),
    (re.compile(r"\b(Bearer|Basic)(\s+)[^\s\"'\\,]+", re.IGNORECASE), r"\1\2…"),
    (re.compile(r"(://[^\s/:@\"]*:)[^\s/@\"]+@"), r"\1…@"),
    # PostgreSQL tells whole rows: names, tokens, texts.
    (re.compile(r"(Failing row contains \().*?(?=\\n|\n|$)"), r"\1…)"),
    (re.compile(r"(Key \([^)]*\)=\().*?(\) (?:already exists|is not present|is still))"), r"\1…\2"),
)


def holds_card_number(text: str) -> bool:
    """Tell whether a text holds what looks like a card number: its length, its first digit and its check digit."""
    return any(passes_luhn(re.sub(r"[ _-]", "", found[0])) for found in CARD_NUMBER.finditer(text))


def holds_secret(text: str) -> bool:
    """Tell whether a text holds what looks like a key, a signing secret or a card number."""
    return KEY.search(text) is not None or holds_card_number(text)


def passes_luhn(digits: str) -> bool:
    """Tell whether the last digit is the check digit of those before it."""
    backwards = digits.encode()[::-1]
    return (sum(backwards[::2].translate(_PLAIN)) + sum(backwards[1::2].translate(_DOUBLED))) % 10 == 0


# A digit's value, and the digits' sum of its double: as bytes, so that no step of a long text is Python's.
_PLAIN: Final = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED: Final = bytes.maketrans(b"0123456789", bytes([0, 2, 4, 6, 8, 1, 3, 5, 7, 9]))


def redact(text: str) -> str:
    """Mask what must not be in a log: the last line of defence, since nothing is meant to bring it there."""
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    return CARD_NUMBER.sub(_mask_card_number, text)


def _mask_card_number(found: re.Match[str]) -> str:
    return "…" if passes_luhn(re.sub(r"[ _-]", "", found[0])) else found[0]
