"""How findings count and list."""

from collections.abc import Sequence
from typing import Final

LISTED_MAX: Final = 3


def counted(number: int, noun: str) -> str:
    """Write a number of things."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def counted_up_to(limit: int, number: int, noun: str) -> str:
    """Write a number of things that were counted up to a limit."""
    return counted(number, noun) if number < limit else f"at least {counted(number, noun)}"


def listed(names: Sequence[str]) -> str:
    """Write the first names, and how many others there are."""
    shown = ", ".join(names[:LISTED_MAX])
    others = len(names) - LISTED_MAX
    return shown if others <= 0 else f"{shown} and {counted(others, 'other')}"
