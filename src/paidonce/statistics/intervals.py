"""Intervals of the calendar in a time zone, made of whole hours in UTC."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from paidonce.clock import DAY_MS, HOUR_MS, Instant

IntervalName: TypeAlias = Literal["hour", "day", "week", "month"]

ZONE_LENGTH_MAX: Final = 64

# The longest range that can be asked for in intervals of this length: at most some hundred intervals.
RANGE_MS_MAX: Final[dict[IntervalName, int]] = {
    "hour": 31 * DAY_MS,
    "day": 366 * DAY_MS,
    "week": 366 * DAY_MS,
    "month": 366 * DAY_MS,
}
# The range where none is asked for.
RANGE_MS_DEFAULT: Final[dict[IntervalName, int]] = {
    "hour": DAY_MS,
    "day": 30 * DAY_MS,
    "week": 91 * DAY_MS,
    "month": 365 * DAY_MS,
}


def read_zone(name: str) -> ZoneInfo | None:
    """Return the time zone with an IANA name; None where there is none."""
    try:
        return ZoneInfo(name) if len(name) <= ZONE_LENGTH_MAX else None
    except (LookupError, OSError, ValueError):  # A name such as "America" is a folder.
        return None


def split(begin: Instant, end: Instant, interval: IntervalName, zone: ZoneInfo) -> list[Instant]:
    """Split a range into intervals; returns where each begins, and where the last one ends.

    The first interval holds ``begin``, and the last one what is just before ``end``. Where the offset of a zone is no
    whole hour, an interval begins with the first hour in UTC that begins in it.
    """
    if interval == "hour":
        first = begin // HOUR_MS * HOUR_MS
        return [*range(first, end, HOUR_MS), -(-end // HOUR_MS) * HOUR_MS]
    day = _first_day(datetime.fromtimestamp(begin // 1000, zone).date(), interval)
    bounds = [_midnight(day, zone)]
    if (
        bounds[0] > begin
    ):  # The hour that holds both the end of a day and the beginning of the next belongs to the former.
        day = _first_day(day - timedelta(days=1), interval)
        bounds = [_midnight(day, zone)]
    while bounds[-1] < end:
        day = _next_day(day, interval)
        bounds.append(_midnight(day, zone))
    return bounds


def interval_of(hour: Instant, bounds: Sequence[Instant]) -> int:
    """Tell in which of the intervals between these bounds an hour is."""
    return bisect_right(bounds, hour) - 1


def _first_day(day: date, interval: IntervalName) -> date:
    match interval:
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case _:
            return day


def _next_day(day: date, interval: IntervalName) -> date:
    match interval:
        case "week":
            return day + timedelta(days=7)
        case "month":
            return (day.replace(day=28) + timedelta(days=4)).replace(day=1)
        case _:
            return day + timedelta(days=1)


def _midnight(day: date, zone: ZoneInfo) -> Instant:
    """Return the first whole hour in UTC of a day in a zone."""
    instant = int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * 1000
    return -(-instant // HOUR_MS) * HOUR_MS
