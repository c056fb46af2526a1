"""How the overview writes amounts, times, durations and shares."""

from datetime import datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from paidonce.clock import Instant
from paidonce.money import DECIMALS
from paidonce.statistics.intervals import IntervalName

LOCALE: Final = "en"  # The dashboard is written in English.

SECOND_MS: Final = 1000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
NOTHING: Final = "–"

LABELS: Final[dict[IntervalName, str]] = {"hour": "%H:%M", "day": "%b %-d", "week": "%b %-d", "month": "%b %Y"}


def duration_text(milliseconds: float | None) -> str:
    """Write a duration with two units at the most: ``850 ms``, ``1.2 s``, ``3 min 20 s``, ``2 d 4 h``."""
    if milliseconds is None:
        return NOTHING
    if milliseconds < SECOND_MS:
        return f"{milliseconds:.0f} ms"
    if milliseconds < MINUTE_MS:
        return f"{milliseconds / SECOND_MS:.1f} s".replace(".0 s", " s")
    if milliseconds < HOUR_MS:
        return _two_units(milliseconds, ("min", MINUTE_MS), ("s", SECOND_MS))
    if milliseconds < DAY_MS:
        return _two_units(milliseconds, ("h", HOUR_MS), ("min", MINUTE_MS))
    return _two_units(milliseconds, ("d", DAY_MS), ("h", HOUR_MS))


def _two_units(milliseconds: float, large: tuple[str, int], small: tuple[str, int]) -> str:
    whole, rest = divmod(round(milliseconds / small[1]), large[1] // small[1])
    return f"{whole} {large[0]} {rest} {small[0]}" if rest else f"{whole} {large[0]}"


def share_text(share: float | None) -> str:
    """Write a share as a percentage: ``98.5%``."""
    return NOTHING if share is None else f"{share * 100:.1f}%"


def compact_amount(amount: float, currency: str) -> str:
    """Write an amount in minor units shortly, for a scale: ``€1.2K``."""
    from babel.numbers import format_compact_currency  # noqa: PLC0415 - loaded with the first page

    value = Decimal(round(amount)).scaleb(-DECIMALS[currency])
    return format_compact_currency(value, currency, locale=LOCALE, fraction_digits=1 if abs(value) >= 1000 else 2)  # noqa: PLR2004 - where K begins


def interval_label(begin: Instant, interval: IntervalName, zone: ZoneInfo) -> str:
    """Name an interval by its beginning: ``14:00``, ``Nov 26``."""
    return datetime.fromtimestamp(begin / 1000, zone).strftime(LABELS[interval])
