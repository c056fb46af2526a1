"""How the dashboard writes amounts and times: in English, and in UTC."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from paidonce.clock import format_instant, parse_instant
from paidonce.money import Money
from paidonce.pages.amounts import format_amount
from paidonce.pages.times import format_precise_time

LOCALE: Final = "en"


def show_amount(amount: int, currency: str) -> str:
    """Write an amount: ``€12.50``."""
    return format_amount(Money(amount, currency), LOCALE)


def show_time(time: str | int | None) -> str:
    """Write a time with its seconds. It is an instant or as the API writes it; empty where there is none."""
    if time is None:
        return ""
    return format_precise_time(time if isinstance(time, int) else parse_instant(time), LOCALE)


def machine_time(time: str | int) -> str:
    """Write a time for the ``datetime`` of an element."""
    return time if isinstance(time, str) else format_instant(time)


def present(**values: object) -> dict[str, Any]:
    """Return the fields of a body that a person filled in."""
    return {name: value for name, value in values.items() if value is not None}


FORMATS: Final[Mapping[str, Callable[..., str]]] = {
    "show_amount": show_amount,
    "show_time": show_time,
    "machine_time": machine_time,
}
