"""Which language a page is in."""

import pytest
from hypothesis import given, strategies as st

from paidonce.pages.languages import CODES, ENGLISH, Language, negotiate_language


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        (None, "en"),
        ("", "en"),
        ("de", "de"),
        ("DE-at", "de_AT"),
        ("de-AT,de;q=0.9,en;q=0.8", "de_AT"),
        ("pt-BR, pt;q=0.9", "pt_BR"),
        ("pt-XX", "pt"),
        ("es-419", "es_419"),
        ("ja-Jpan-JP", "ja_JP"),
        ("de-Latn-DE-1996", "de_DE"),
        ("en;q=0.5, fr;q=0.7, sv;q=0.6", "fr"),
        ("it;q=0.5, nl;q=0.5", "it"),
        ("zh-CN, zh;q=0.9, pl;q=0.1", "pl"),
        ("zh-CN", "en"),
        ("*", "en"),
        ("zh, *;q=0.1", "en"),
        ("en;q=0, *", "de"),
        ("zh, fr;q=0", "en"),
        ("fr;q=nonsense, nl;q=0.1", "nl"),
        ("fr;q=2, nl;q=0.1", "nl"),
        ("fr ; q=0.4 , nl ; Q=0.8", "nl"),
        (";;,,;q=1,-,_", "en"),
        ("x" * 100_000, "en"),
    ],
)
def test_the_best_language_of_the_header_is_taken(header: str | None, locale: str) -> None:
    assert negotiate_language(None, header).locale == locale


@pytest.mark.parametrize(("requested", "locale"), [("fr", "fr"), ("fr-CA", "fr_CA"), ("xx", "de"), ("fr,it", "de")])
def test_a_language_that_the_request_names_comes_before_the_header(requested: str, locale: str) -> None:
    assert negotiate_language(requested, "de").locale == locale


@given(requested=st.none() | st.text(), header=st.none() | st.text(alphabet="adefnt-_;,q=.*01 \x00ß") | st.text())
def test_no_request_is_without_a_language(requested: str | None, header: str | None) -> None:
    language = negotiate_language(requested, header)
    assert language.code in CODES
    assert language.locale.partition("_")[0] == language.code


def test_a_page_names_its_language_and_direction_for_the_browser() -> None:
    assert (negotiate_language("de-AT", None).tag, ENGLISH.tag) == ("de-AT", "en")
    assert (ENGLISH.direction, Language("ar", "ar_EG").direction) == ("ltr", "rtl")
