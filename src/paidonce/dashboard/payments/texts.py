"""How the pages about payments write amounts, times and statuses."""

from typing import Final

from paidonce.clock import Instant, format_instant
from paidonce.errors import FieldError, InvalidRequest
from paidonce.money import Money
from paidonce.pages.amounts import UnreadableAmount, format_amount, format_plain_amount, parse_amount
from paidonce.pages.times import format_precise_time

LOCALE: Final = "en"  # The dashboard is written in English.
SHORT_MAX: Final = 80  # Characters of a text in a table.


def amount_text(amount: int, currency: str) -> str:
    """Write an amount with its currency: ``€12.50``."""
    return format_amount(Money(amount, currency), LOCALE)


def plain_amount(amount: int, currency: str) -> str:
    """Write an amount as a field of a form holds it: ``12.50``."""
    return format_plain_amount(Money(amount, currency), LOCALE)


def read_amount(text: str, currency: str, *, field: str = "/amount") -> int:
    """Read an amount that a person typed, in minor units; raises InvalidRequest."""
    try:
        return parse_amount(text, currency, LOCALE)
    except UnreadableAmount as error:
        raise InvalidRequest([FieldError(field, "invalid_value", str(error))]) from None


class When:
    """A time: ``text`` is for people, ``precise`` for machines and for who looks closely."""

    def __init__(self, instant: Instant) -> None:
        self.text = format_precise_time(instant, LOCALE)
        self.precise = format_instant(instant)


def in_words(name: str) -> str:
    """Write the name of a status or a kind as words: ``NEEDS_REVIEW`` is ``needs review``."""
    return name.replace("_", " ").lower()


def shortened(text: str) -> str:
    """Shorten a text for a table."""
    return text if len(text) <= SHORT_MAX else f"{text[: SHORT_MAX - 1].rstrip()}…"
