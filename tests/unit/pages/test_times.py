"""Times as people read them."""

import pytest
from hypothesis import given, strategies as st

from paidonce.clock import parse_instant
from paidonce.pages.times import format_date, format_precise_time, format_time

MOMENT = parse_instant("2026-07-01T22:30:45.678Z")


@pytest.mark.parametrize(
    ("locale", "zone", "text"),
    [
        ("en", "UTC", "July 1, 2026, 10:30\u202fPM UTC"),
        ("de", "Europe/Berlin", "2. Juli 2026, 00:30 MESZ"),
        ("ja", "Asia/Tokyo", "2026年7月2日 7:30 JST"),
        ("fr", "America/Montreal", "1 juillet 2026, 18:30 -0400"),
    ],
)
def test_a_time_is_written_with_its_zone(locale: str, zone: str, text: str) -> None:
    assert format_time(MOMENT, locale, zone) == text


def test_a_precise_time_has_seconds_and_is_short() -> None:
    assert format_precise_time(MOMENT, "en") == "Jul 1, 2026, 10:30:45\u202fPM UTC"


def test_a_date_is_the_one_of_the_zone() -> None:
    assert [format_date(MOMENT, "en", zone) for zone in ("UTC", "Asia/Tokyo")] == ["July 1, 2026", "July 2, 2026"]


@given(zone=st.text(max_size=80) | st.sampled_from(["../../etc/passwd", "\0", "Europe", "/", ""]))
def test_a_zone_that_is_not_known_is_taken_for_utc(zone: str) -> None:
    assert format_time(MOMENT, "sv", zone) == "1 juli 2026 22:30 UTC"
