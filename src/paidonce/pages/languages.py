"""The languages of pages for buyers, and which of them a request is answered in."""

import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Final, NamedTuple

# What the pages are translated into. The first is what a buyer sees whose languages are not among them.
CODES: Final = ("en", "de", "fr", "es", "it", "nl", "pt", "pl", "sv", "ja")
HEADER_LENGTH_MAX: Final = 500  # Browsers send some ten languages, in about 100 characters.
DEFAULT_QUALITY: Final = 1.0

_TAG: Final = re.compile(r"([A-Za-z]{2,3})(?:[-_][A-Za-z]{4})?(?:[-_]([A-Za-z]{2}|[0-9]{3}))?(?:[-_][0-9A-Za-z-]+)?")
_QUALITY: Final = re.compile(r"[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


class Language(NamedTuple):
    """``code`` names the translation (``de``), ``locale`` how amounts and times are written (``de_AT``)."""

    code: str
    locale: str

    @property
    def tag(self) -> str:
        """The BCP 47 tag, which is the value of HTML's ``lang``."""
        return self.locale.replace("_", "-")

    @property
    def direction(self) -> str:
        """The value of HTML's ``dir``: ``ltr`` or ``rtl``."""
        return _direction(self.locale)


ENGLISH: Final = Language("en", "en")
PARAMETER: Final = "lang"  # The parameter with which a link to a page names its language.


def in_language_of(url: str, parameters: Mapping[str, str]) -> str:
    """Return a URL without parameters, with the language that a request names in its own, if it names one."""
    if PARAMETER not in parameters:
        return url
    return f"{url}?{PARAMETER}={negotiate_language(parameters[PARAMETER], None).tag}"


def negotiate_language(requested: str | None, accept_language: str | None) -> Language:
    """Choose the language of a page: the one that the request names, otherwise the best of ``Accept-Language`` (RFC
    9110), otherwise English. A regional language falls back to its general one. What is not understood is ignored.
    """
    return _negotiate((requested or "")[:HEADER_LENGTH_MAX], (accept_language or "")[:HEADER_LENGTH_MAX])


@lru_cache(maxsize=512)
def _negotiate(requested: str, accept_language: str) -> Language:
    named = _language(requested.strip())
    if named is not None:
        return named
    wanted = sorted(_read(accept_language), key=lambda one: -one[1])  # Equal ones stay in their order.
    refused = {tag.lower() for tag, quality in wanted if quality == 0}
    for tag, quality in wanted:
        if quality == 0:
            continue
        if tag == "*":
            return next((Language(code, code) for code in CODES if code not in refused), ENGLISH)
        language = _language(tag)
        if language is not None:
            return language
    return ENGLISH


def _read(accept_language: str) -> Iterator[tuple[str, float]]:
    """Read the languages of a header with their qualities, in their order."""
    for part in accept_language.split(","):
        tag, _, parameter = part.partition(";")
        quality = _QUALITY.fullmatch(parameter.strip())
        if quality is not None or not parameter:
            yield tag.strip(), DEFAULT_QUALITY if quality is None else float(quality[1])


def _language(tag: str) -> Language | None:
    """Return the language of a tag, with its region where that has formats of its own; None for others."""
    parts = _TAG.fullmatch(tag)
    if parts is None or parts[1].lower() not in CODES:
        return None
    code = parts[1].lower()
    regional = f"{code}_{(parts[2] or '').upper()}"
    return Language(code, regional if regional in _locales() else code)


@cache
def _locales() -> frozenset[str]:
    from babel.localedata import locale_identifiers

    return frozenset(locale_identifiers())


@cache
def _direction(locale: str) -> str:
    from babel import Locale

    return Locale.parse(locale).text_direction
