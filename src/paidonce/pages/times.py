"""Times as people read them, in a time zone and in a locale."""

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from paidonce.clock import Instant

ZONE_LENGTH_MAX: Final = 64


def format_time(instant: Instant, locale: str, zone: str = "UTC") -> str:
    """Write a date and a time of day with its zone: ``January 2, 2026, 3:04 AM UTC``. A zone that is not known is
    taken for UTC.
    """
    from babel.dates import format_date as day_of, format_time as time_of_day, get_datetime_format, get_timezone_name

    moment = _moment(instant, zone)
    both = str(get_datetime_format("long", locale)).replace("'", "")
    text = both.format(time_of_day(moment, "short", locale=locale), day_of(moment, "long", locale=locale))
    return f"{text} {get_timezone_name(moment, 'short', locale=locale)}"


def format_precise_time(instant: Instant, locale: str, zone: str = "UTC") -> str:
    """Write a date and a time of day with seconds, short enough for a table: ``Jan 2, 2026, 3:04:05 AM UTC``."""
    from babel.dates import format_datetime, get_timezone_name

    moment = _moment(instant, zone)
    text = format_datetime(moment, "medium", locale=locale)
    return f"{text} {get_timezone_name(moment, 'short', locale=locale)}"


def format_date(instant: Instant, locale: str, zone: str = "UTC") -> str:
    """Write a date: ``January 2, 2026``."""
    from babel.dates import format_date as day_of

    return day_of(_moment(instant, zone), "long", locale=locale)


def _moment(instant: Instant, zone: str) -> datetime:
    return datetime.fromtimestamp(instant // 1000, _zone(zone))


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    """Return the time zone with this IANA name, or UTC."""
    if len(name) > ZONE_LENGTH_MAX:
        return UTC
    try:
        return ZoneInfo(name)
    except (LookupError, OSError, ValueError):
        return UTC
