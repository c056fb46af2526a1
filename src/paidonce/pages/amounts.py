"""Amounts as people write and read them.

The number of decimals is the one of ISO 4217 (``money.DECIMALS``), because the API counts in these minor units. CLDR,
which Babel's formats come from, has fewer for 15 currencies that are used without coins (HUF, COP, IDR, IQD, …). Those
amounts are shown with all their decimals: what is shown is exactly what is charged.
"""

import re
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Final

from paidonce.money import AMOUNT_MAX, DECIMALS, Money
from paidonce.pages.languages import CODES

if TYPE_CHECKING:
    from babel.numbers import NumberPattern

LENGTH_MAX: Final = 60  # Characters of an amount that a person types, with spaces and the currency.

# The digits, the comma, the point and the yen sign of Japanese keyboards.
_FULL_WIDTH: Final = {0xFEE0 + ord(one): one for one in "0123456789,."} | {0xFFE5: "\u00a5"}
_SPACES: Final = re.compile(
    r"[\s'\u2019\u200e\u200f]"
)  # Swiss people group with apostrophes; Arabic has marks of direction.
_PARTS: Final = re.compile(r"([^0-9]*)([0-9](?:[0-9.,]*[0-9])?)([^0-9]*)")
_GROUPED: Final = re.compile(r"[0-9]{1,3}(?:(?:\.[0-9]{3})+|(?:,[0-9]{2,3})*,[0-9]{3})")  # In India 12,34,567.


class UnreadableAmount(Exception):
    """What a person typed is not an amount; the message tells the person what to write."""


def format_amount(money: Money, locale: str) -> str:
    """Write an amount with its currency, as people write it there: ``€1,234.50``, ``1.234,50 €``, ``¥1,200``."""
    from babel.numbers import format_currency

    decimals = DECIMALS[money.currency]
    return format_currency(
        _decimal(money), money.currency, _pattern(locale, decimals), locale=locale, currency_digits=False
    )


def format_plain_amount(money: Money, locale: str) -> str:
    """Write an amount without its currency and without groups, as a field of a form holds it: ``1234.50``."""
    from babel.numbers import format_decimal

    decimals = DECIMALS[money.currency]
    shape = "0." + "0" * decimals if decimals else "0"
    return format_decimal(_decimal(money), shape, locale=locale)


def parse_amount(text: str, currency: str, locale: str) -> int:
    """Read what a person typed, such as ``12,50`` or ``$1,234.50``, in minor units; raises UnreadableAmount.

    A comma and a point both separate decimals, whatever the locale, where the number can be read in one way only. If a
    single one is followed by three digits, the locale decides; what could still mean two amounts is refused.
    """
    parts = _PARTS.fullmatch(_clean(text)) if len(text) <= LENGTH_MAX else None
    if parts is None:
        raise UnreadableAmount(f"Write an amount such as {_example(currency, locale)}.")
    before, digits, after = parts.groups()
    for mark in (before, after):
        if mark and mark.upper() not in _marks(currency, locale):
            raise UnreadableAmount(f"Write the amount in {currency}, such as {_example(currency, locale)}.")
    whole, decimals = _split(digits, currency, locale)
    if len(decimals) > DECIMALS[currency]:
        raise UnreadableAmount(_too_many_decimals(currency))
    amount = int(whole + decimals.ljust(DECIMALS[currency], "0"))
    if not 1 <= amount <= AMOUNT_MAX:
        highest = format_amount(Money(AMOUNT_MAX, currency), locale)
        raise UnreadableAmount(f"The amount must be more than zero, and at most {highest}.")
    return amount


def _split(digits: str, currency: str, locale: str) -> tuple[str, str]:
    """Divide digits and separators into the digits before and after the decimal separator; raises UnreadableAmount."""
    separators = [one for one in digits if not one.isdigit()]
    if not separators:
        return digits, ""
    last = separators[-1]
    whole, _, decimals = digits.rpartition(last)
    if len(separators) > 1 and last == separators[0]:  # 1.234.567
        return _ungroup(digits, currency, locale), ""
    if len(separators) > 1:  # 1.234,50
        return _ungroup(whole, currency, locale), decimals
    if _GROUPED.fullmatch(digits) is None or int(whole) == 0:  # 12,50
        return whole, decimals
    if last == _decimal_separator(locale):  # 1.234 in English
        return whole, decimals
    if len(decimals) <= DECIMALS[currency]:
        message = f"{digits} can be read as two amounts. Write it as {whole}.{decimals} or as {whole}{decimals}."
        raise UnreadableAmount(message)
    return whole + decimals, ""  # 1,234 in English


def _ungroup(digits: str, currency: str, locale: str) -> str:
    if digits.isdigit():
        return digits
    if _GROUPED.fullmatch(digits) is None:
        raise UnreadableAmount(f"Write an amount such as {_example(currency, locale)}.")
    return digits.replace(",", "").replace(".", "")


def _too_many_decimals(currency: str) -> str:
    decimals = DECIMALS[currency]
    if decimals == 0:
        return f"{currency} has no decimals. Write a whole number."
    return f"{currency} has {decimals} decimals. Write at most {decimals} digits after the decimal separator."


def _example(currency: str, locale: str) -> str:
    return format_plain_amount(Money(125 * 10 ** DECIMALS[currency] // 10, currency), locale)


def _decimal(money: Money) -> Decimal:
    return Decimal(money.amount).scaleb(-DECIMALS[money.currency])


@cache
def _pattern(locale: str, decimals: int) -> "NumberPattern":
    """Return the locale's format of a currency with this number of decimals."""
    from babel import Locale
    from babel.numbers import parse_pattern

    standard: str = Locale.parse(locale).currency_formats["standard"].pattern
    return parse_pattern(re.sub(r"0(\.0+)?(?![0-9.,#])", "0." + "0" * decimals if decimals else "0", standard))


@cache
def _decimal_separator(locale: str) -> str:
    from babel.numbers import get_decimal_symbol

    return get_decimal_symbol(locale)


@cache
def _marks(currency: str, locale: str) -> frozenset[str]:
    """Return what may stand before or after an amount: the currency's code, and its symbols in our languages."""
    from babel.numbers import get_currency_symbol

    symbols = {get_currency_symbol(currency, one) for one in (locale, *CODES)}
    # "$" and "¥" name several currencies. The amount's own currency is known, and the page shows it beside the field.
    short = {symbol[-1] for symbol in symbols if symbol[-1] in "$\u00a5£€"}
    return frozenset(_clean(symbol).upper() for symbol in {currency, *symbols, *short})


def _clean(text: str) -> str:
    return _SPACES.sub("", text.translate(_FULL_WIDTH))
