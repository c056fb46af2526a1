"""Contrast of colors."""

import pytest
from hypothesis import given, strategies as st

from paidonce.profiles.colors import contrast, text_color_on


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#ffffff", "#ffffff", 1.0),
        ("#777777", "#ffffff", 4.48),  # The known pair that just fails AA, and the next that just passes.
        ("#767676", "#ffffff", 4.54),
        ("#0000ff", "#ffffff", 8.59),
        ("#ff0000", "#ffffff", 4.0),
        ("#ffff00", "#000000", 19.56),
    ],
)
def test_the_contrast_is_the_one_that_wcag_defines(one: str, other: str, ratio: float) -> None:
    assert round(contrast(one, other), 2) == round(contrast(other, one), 2) == ratio


@pytest.mark.parametrize(
    ("background", "text"), [("#0a5c36", "#ffffff"), ("#ffd400", "#000000"), ("#767676", "#000000")]
)
def test_text_is_black_or_white_whichever_contrasts_more(background: str, text: str) -> None:
    assert text_color_on(background) == text


@given(color=st.from_regex(r"#[0-9a-f]{6}", fullmatch=True))
def test_text_can_be_read_on_every_color(color: str) -> None:
    assert contrast(text_color_on(color), color) >= 4.5
