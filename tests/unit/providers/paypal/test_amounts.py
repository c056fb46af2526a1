"""Amounts as PayPal writes them, and what is refused before anything is sent."""

import pytest
from hypothesis import given, strategies as st

from paidonce.money import Money
from paidonce.providers.base import WantedCharge
from paidonce.providers.evidence import NotDone
from paidonce.providers.paypal import CONNECTOR
from paidonce.providers.paypal.amounts import WHOLE, WITH_CENTS, from_paypal, to_paypal
from paidonce.providers.paypal.wire import Amount


def unsupported(money: Money, method: str) -> str | None:
    found = {
        CONNECTOR.unsupported(WantedCharge(money=money, payment_method=method, capture=capture))
        for capture in (True, False)
    }
    (code,) = found
    return code


@pytest.mark.parametrize(
    ("money", "value"),
    [
        (Money(1000, "USD"), "10.00"),
        (Money(5, "EUR"), "0.05"),
        (Money(1000, "JPY"), "1000"),
        (Money(100_000, "HUF"), "1000"),
        (Money(100, "TWD"), "1"),
        (Money(99_999_999_999_999_999, "USD"), "999999999999999.99"),
    ],
)
def test_an_amount_is_a_decimal_string_and_three_currencies_are_whole(money: Money, value: str) -> None:
    assert to_paypal(money) == Amount(money.currency, value)
    assert from_paypal(Amount(money.currency, value)) == money


@pytest.mark.parametrize(
    ("money", "code"),
    [
        (Money(1001, "HUF"), "amount_not_supported"),
        (Money(150, "TWD"), "amount_not_supported"),
        (Money(0, "USD"), "amount_not_supported"),
        (Money(100_000_000_000_000_000, "USD"), "amount_not_supported"),
        (Money(1000, "KWD"), "currency_not_supported"),
        (Money(1000, "ISK"), "currency_not_supported"),
        (Money(1000, "XAU"), "currency_not_supported"),
    ],
)
def test_what_paypal_cannot_take_is_refused(money: Money, code: str) -> None:
    found = to_paypal(money)
    assert isinstance(found, NotDone)
    assert (found.code, found.retryable) == (code, False)
    assert unsupported(money, "hosted") == code


@pytest.mark.parametrize("method", ["hosted", "paypal"])
def test_the_methods_of_paypal_are_supported_and_no_other(method: str) -> None:
    assert unsupported(Money(1000, "USD"), method) is None
    assert unsupported(Money(1000, "USD"), "pm_card_visa") == "payment_method_not_supported"


@given(st.integers(min_value=1, max_value=10**17 - 1), st.sampled_from(sorted(WITH_CENTS)))
def test_an_amount_with_cents_is_read_as_it_was_written(amount: int, currency: str) -> None:
    written = to_paypal(Money(amount, currency))
    assert isinstance(written, Amount)
    assert from_paypal(written) == Money(amount, currency)


@given(st.sampled_from(sorted(WHOLE)), st.integers(min_value=1, max_value=10**15 - 1))
def test_a_whole_amount_is_read_with_or_without_zeros(currency: str, units: int) -> None:
    money = from_paypal(Amount(currency, str(units)))
    assert money == from_paypal(Amount(currency, f"{units}.00"))
    assert money is not None
    assert to_paypal(money) == Amount(currency, str(units))


@pytest.mark.parametrize(
    "amount",
    [
        None,
        Amount("USD", "-1.00"),
        Amount("USD", "1.001"),
        Amount("USD", ""),
        Amount("USD", "1,00"),
        Amount("USD", "\u0661.00"),
        Amount("JPY", "1.50"),
        Amount("XXX", "1.00"),
    ],
)
def test_what_is_no_amount_is_none(amount: Amount | None) -> None:
    assert from_paypal(amount) is None
