"""Instants: milliseconds internally, RFC 3339 externally, without loss."""

import re

import pytest
from hypothesis import given, strategies as st

from paidonce.clock import format_instant, parse_instant, system_clock

INSTANTS = st.integers(min_value=0, max_value=253_402_300_799_999)  # To the end of the year 9999.


@given(INSTANTS)
def test_what_is_written_reads_back_to_the_millisecond(instant: int) -> None:
    assert parse_instant(format_instant(instant)) == instant


@given(INSTANTS, INSTANTS)
def test_written_instants_sort_like_instants(one: int, other: int) -> None:
    assert (format_instant(one) < format_instant(other)) == (one < other)


@pytest.mark.parametrize(
    ("instant", "written"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_767_323_045_678, "2026-01-02T03:04:05.678Z"),
        (1_767_323_045_007, "2026-01-02T03:04:05.007Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_an_instant_is_written_in_utc_with_milliseconds(instant: int, written: str) -> None:
    assert format_instant(instant) == written


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05.678Z",
        "2026-01-02t03:04:05.678z",
        "2026-01-02T04:04:05.678+01:00",
        "2026-01-01T22:04:05.678999-05:00",
    ],
)
def test_an_offset_is_counted_and_what_is_finer_than_a_millisecond_is_cut(text: str) -> None:
    assert parse_instant(text) == 1_767_323_045_678


@pytest.mark.parametrize("text", ["", "now", "2026-01-02", "2026-01-02T03:04:05", "2026-13-01T00:00:00Z", "1767323045"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_instant(text)


def test_the_system_clock_tells_milliseconds() -> None:
    assert re.fullmatch(r"20[0-9]{2}-.*Z", format_instant(system_clock()))
