"""Amounts as people write and read them."""

import pytest
from hypothesis import given, strategies as st

from paidonce.money import AMOUNT_MAX, CURRENCIES, Money
from paidonce.pages.amounts import UnreadableAmount, format_amount, format_plain_amount, parse_amount
from paidonce.pages.languages import CODES

LOCALES = (*CODES, "de_AT", "de_CH", "en_GB", "en_IN", "pt_PT", "fr_CA", "ar")


@pytest.mark.parametrize(
    ("amount", "currency", "locale", "text"),
    [
        (123450, "EUR", "en", "€1,234.50"),
        (123450, "EUR", "de", "1.234,50\u00a0€"),
        (123450, "EUR", "de_AT", "€\u00a01.234,50"),
        (123450, "CHF", "de_CH", "CHF\u00a01'234.50"),
        (123450, "EUR", "fr", "1\u202f234,50\u00a0€"),
        (123450, "PLN", "pl", "1\u00a0234,50\u00a0zł"),
        (123450, "SEK", "sv", "1\u00a0234,50\u00a0kr"),
        (123450, "EUR", "nl", "€\u00a01.234,50"),
        (1200, "JPY", "ja", "\uffe51,200"),
        (1200, "JPY", "en", "¥1,200"),
        (1234, "KWD", "en", "KWD1.234"),
        (5, "USD", "en", "$0.05"),
    ],
)
def test_an_amount_is_written_as_people_write_it_there(amount: int, currency: str, locale: str, text: str) -> None:
    assert format_amount(Money(amount, currency), locale) == text


@pytest.mark.parametrize(
    ("currency", "text"),
    [
        # Without decimals in CLDR, with two or three in ISO 4217: the amount charged has them.
        ("HUF", "1,234.00"),
        ("COP", "1,234.00"),
        ("IQD", "123.400"),
        # Without decimals in both.
        ("ISK", "123,400"),
        ("UGX", "123,400"),
        ("JPY", "123,400"),
        ("BHD", "123.400"),
        ("CLF", "12.3400"),
    ],
)
def test_an_amount_has_the_decimals_of_iso_4217(currency: str, text: str) -> None:
    assert text in format_amount(Money(123400, currency), "en")


def test_every_currency_has_its_decimals_in_every_locale() -> None:
    wrong = []
    for currency in sorted(CURRENCIES):
        for locale in LOCALES:
            digits = [one for one in format_amount(Money(12345678, currency), locale) if one.isdigit()]
            if "".join(digits) != "12345678":
                wrong.append((currency, locale, digits))
    assert wrong == []


@given(amount=st.integers(1, AMOUNT_MAX), currency=st.sampled_from(sorted(CURRENCIES)), locale=st.sampled_from(LOCALES))
def test_what_is_written_is_read_as_the_same_amount(amount: int, currency: str, locale: str) -> None:
    money = Money(amount, currency)
    assert parse_amount(format_plain_amount(money, locale), currency, locale) == amount
    assert parse_amount(format_amount(money, locale), currency, locale) == amount


@pytest.mark.parametrize(
    ("text", "currency", "locale", "amount"),
    [
        ("12,50", "EUR", "en", 1250),
        ("12.50", "EUR", "de", 1250),
        ("12,5", "EUR", "de", 1250),
        ("12", "EUR", "de", 1200),
        ("1.234,50", "EUR", "en", 123450),
        ("1,234.50", "EUR", "de", 123450),
        ("1 234,50", "EUR", "fr", 123450),
        ("1'234.50", "CHF", "de_CH", 123450),
        ("1,234,567.89", "USD", "en", 123456789),
        ("1.234.567", "EUR", "de", 123456700),
        ("¥1200", "JPY", "en", 1200),
        ("\uffe5\uff11\uff12\uff10\uff10", "JPY", "ja", 1200),
        ("1,200", "JPY", "en", 1200),
        ("1,234", "USD", "en", 123400),
        ("1.234", "EUR", "de", 123400),
        ("1.234", "KWD", "en", 1234),
        ("0,125", "KWD", "en", 125),
        ("US$5", "USD", "en", 500),
        ("5 $", "CAD", "fr_CA", 500),
        (" 5 eur ", "EUR", "en", 500),
        ("12,50 zł", "PLN", "en", 1250),
        ("100 kr", "SEK", "en", 10000),
        ("0.01", "USD", "en", 1),
    ],
)
def test_an_amount_is_read_as_a_person_means_it(text: str, currency: str, locale: str, amount: int) -> None:
    assert parse_amount(text, currency, locale) == amount


@pytest.mark.parametrize(
    ("text", "currency", "told"),
    [
        ("", "EUR", "Write an amount such as 12.50."),
        ("ten", "EUR", "Write an amount such as 12.50."),
        ("1,23,4", "EUR", "Write an amount such as 12.50."),
        ("12.34.567", "EUR", "Write an amount such as 12.50."),
        ("12.", "EUR", "Write the amount in EUR, such as 12.50."),
        ("-3", "EUR", "Write the amount in EUR, such as 12.50."),
        ("$5", "EUR", "Write the amount in EUR, such as 12.50."),
        ("1e3", "EUR", "Write an amount such as 12.50."),
        ("10\u00b2", "EUR", "Write the amount in EUR, such as 12.50."),
        ("9" * 100, "EUR", "Write an amount such as 12.50."),
        ("12.505", "EUR", "EUR has 2 decimals. Write at most 2 digits after the decimal separator."),
        # An English page: a German reads 1234 here, an American 1.234, of which there is no such amount.
        ("1.234", "EUR", "EUR has 2 decimals. Write at most 2 digits after the decimal separator."),
        ("1200.00", "JPY", "JPY has no decimals. Write a whole number."),
        ("1,234", "KWD", "1,234 can be read as two amounts. Write it as 1.234 or as 1234."),
        ("0", "EUR", "The amount must be more than zero, and at most €9,999,999,999.99."),
        ("10000000000", "EUR", "The amount must be more than zero, and at most €9,999,999,999.99."),
    ],
)
def test_an_amount_that_is_unclear_is_refused_with_what_to_write(text: str, currency: str, told: str) -> None:
    with pytest.raises(UnreadableAmount) as refused:
        parse_amount(text, currency, "en")
    assert str(refused.value) == told


@given(text=st.text(max_size=80), currency=st.sampled_from(sorted(CURRENCIES)), locale=st.sampled_from(LOCALES))
def test_no_text_is_read_as_an_amount_that_there_cannot_be(text: str, currency: str, locale: str) -> None:
    try:
        amount = parse_amount(text, currency, locale)
    except UnreadableAmount:
        return
    assert 1 <= amount <= AMOUNT_MAX
