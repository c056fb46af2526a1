"""Amounts: Adyen's decimals differ from ISO 4217's in four currencies."""

import pytest

from paidonce.money import CURRENCIES, Money
from paidonce.providers.adyen import CONNECTOR
from paidonce.providers.adyen.amounts import from_adyen, to_adyen
from paidonce.providers.base import HOSTED_PAGE, WantedCharge
from paidonce.providers.evidence import NotDone

PAIRS = [
    (Money(1234, "USD"), 1234),
    (Money(1234, "JPY"), 1234),
    (Money(1234, "KWD"), 1234),
    (Money(12, "CLP"), 1200),
    (Money(12, "ISK"), 1200),
    (Money(1200, "CVE"), 12),
    (Money(1200, "IDR"), 12),
]


@pytest.mark.parametrize(("money", "amount"), PAIRS)
def test_an_amount_is_written_with_the_decimals_of_adyen_and_read_back(money: Money, amount: int) -> None:
    assert to_adyen(money) == amount
    assert from_adyen(amount, money.currency) == money


@pytest.mark.parametrize("currency", ["CVE", "IDR"])
def test_an_amount_that_is_finer_than_adyen_counts_is_refused_before_anything_is_sent(currency: str) -> None:
    found = to_adyen(Money(1250, currency))
    assert isinstance(found, NotDone)
    assert (found.code, found.retryable) == ("amount_not_supported", False)


def test_every_currency_that_a_checkout_may_have_can_be_written() -> None:
    assert [currency for currency in CURRENCIES if not isinstance(to_adyen(Money(100, currency)), int)] == []


@pytest.mark.parametrize(
    ("amount", "currency", "payment_method", "code"),
    [
        (1000, "USD", HOSTED_PAGE, None),
        (1000, "USD", "spm_M5N7TQ4TG5PFWR50_shopper-1", None),
        (1000, "USD", "tok_success", "payment_method_not_supported"),
        (1250, "IDR", HOSTED_PAGE, "amount_not_supported"),
        (1250, "IDR", "tok_success", "amount_not_supported"),
    ],
)
def test_adyen_says_without_a_call_what_it_cannot_take(
    amount: int, currency: str, payment_method: str, code: str | None
) -> None:
    for capture in (True, False):
        assert (
            CONNECTOR.unsupported(
                WantedCharge(money=Money(amount, currency), payment_method=payment_method, capture=capture)
            )
            == code
        )


@pytest.mark.parametrize(("amount", "currency"), [(1250, "ISK"), (1201, "CLP"), (100, "XBT")])
def test_an_amount_that_a_currency_cannot_have_is_none(amount: int, currency: str) -> None:
    assert from_adyen(amount, currency) is None
