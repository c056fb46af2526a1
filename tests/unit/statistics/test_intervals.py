"""Hours, days, weeks and months in a time zone."""

from datetime import datetime
from itertools import pairwise
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies

from paidonce.clock import DAY_MS, HOUR_MS
from paidonce.statistics.intervals import IntervalName, interval_of, read_zone, split

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Pacific/Auckland",
    "America/Sao_Paulo",
)


def at(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1000


def shown(bounds: list[int], zone: str) -> list[str]:
    return [datetime.fromtimestamp(one / 1000, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M") for one in bounds]


def test_days_begin_at_midnight_where_they_are_also_when_clocks_change() -> None:
    bounds = split(
        at("2026-03-28T15:00", "Europe/Berlin"),
        at("2026-03-30T01:00", "Europe/Berlin"),
        "day",
        ZoneInfo("Europe/Berlin"),
    )
    assert shown(bounds, "Europe/Berlin") == [
        "2026-03-28 00:00",
        "2026-03-29 00:00",
        "2026-03-30 00:00",
        "2026-03-31 00:00",
    ]
    assert [(later - one) // HOUR_MS for one, later in pairwise(bounds)] == [24, 23, 24]


def test_weeks_begin_on_monday() -> None:
    bounds = split(at("2026-11-26T12:00"), at("2026-12-01T12:00"), "week", ZoneInfo("UTC"))
    assert shown(bounds, "UTC") == ["2026-11-23 00:00", "2026-11-30 00:00", "2026-12-07 00:00"]


def test_months_are_those_of_the_calendar() -> None:
    bounds = split(at("2027-12-31T12:00"), at("2028-03-01T00:01"), "month", ZoneInfo("UTC"))
    assert shown(bounds, "UTC") == [
        "2027-12-01 00:00",
        "2028-01-01 00:00",
        "2028-02-01 00:00",
        "2028-03-01 00:00",
        "2028-04-01 00:00",
    ]


def test_what_ends_with_an_interval_has_no_further_one() -> None:
    assert len(split(at("2026-11-26T00:00"), at("2026-11-28T00:00"), "day", ZoneInfo("UTC"))) == 3
    assert len(split(at("2026-11-26T00:00"), at("2026-11-26T02:00"), "hour", ZoneInfo("UTC"))) == 3


def test_where_an_offset_is_no_whole_hour_a_day_begins_with_its_first_hour_in_utc() -> None:
    bounds = split(at("2026-11-26T12:00"), at("2026-11-26T13:00"), "day", ZoneInfo("Asia/Kolkata"))
    assert shown(bounds, "Asia/Kolkata") == ["2026-11-26 00:30", "2026-11-27 00:30"]


@given(
    begin=strategies.integers(0, 4_000_000_000_000),
    length=strategies.integers(1, 40 * DAY_MS),
    interval=strategies.sampled_from(get_args(IntervalName)),
    zone=strategies.sampled_from(ZONES),
)
def test_intervals_are_of_whole_hours_and_hold_the_range_and_not_more(
    begin: int, length: int, interval: IntervalName, zone: str
) -> None:
    bounds = split(begin, begin + length, interval, ZoneInfo(zone))
    assert bounds == sorted(set(bounds))
    assert all(one % HOUR_MS == 0 for one in bounds)
    assert bounds[0] <= begin < bounds[1]
    assert bounds[-2] < begin + length <= bounds[-1]
    assert interval_of(bounds[0], bounds) == 0
    assert interval_of(bounds[-1] - HOUR_MS, bounds) == len(bounds) - 2


@pytest.mark.parametrize("name", ["Mars/Olympus", "America", "../etc/passwd", "/etc/localtime", "", "UTC" * 30])
def test_what_is_no_time_zone_is_none(name: str) -> None:
    assert read_zone(name) is None
