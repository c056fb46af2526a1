"""Amounts in Stripe's unit, which differs from ISO 4217's in some currencies."""

import pytest

from paidonce.money import CURRENCIES, Money
from paidonce.providers.base import HOSTED_PAGE, Provider, WantedCharge
from paidonce.providers.evidence import NotDone
from paidonce.providers.stripe import CONNECTOR
from paidonce.providers.stripe.amounts import from_stripe, to_stripe
from paidonce.proving.doubles.stripe.server import StripeDouble
from tests.support.doubles import charge_request, modification


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        (1000, "USD", 1000),
        (500, "JPY", 500),
        (5, "ISK", 500),
        (5, "UGX", 500),
        (50_000, "MGA", 500),
        (5120, "KWD", 5120),
        (1000, "HUF", 1000),
        (1000, "TWD", 1000),
        (999_999_999_999, "IDR", 999_999_999_999),
    ],
)
def test_an_amount_is_sent_in_stripes_unit_and_read_back(amount: int, currency: str, expected: int) -> None:
    assert to_stripe(Money(amount, currency)) == expected
    assert from_stripe(expected, currency.lower()) == Money(amount, currency)


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        (5124, "KWD", "amount_not_supported"),
        (50_050, "MGA", "amount_not_supported"),
        (10_000_000_000, "ISK", "amount_not_supported"),
        (1_000_000_000_000, "USD", "amount_not_supported"),
        (100, "CLF", "currency_not_supported"),
        (100, "UYI", "currency_not_supported"),
    ],
)
async def test_what_stripe_cannot_take_is_refused_before_anything_is_sent(
    stripe: Provider, double: StripeDouble, amount: int, currency: str, code: str
) -> None:
    charge = charge_request("amount", amount=amount, currency=currency)
    for refused in (
        await stripe.open(charge),
        await stripe.capture(modification("capture", "amount", "pi_1", amount, currency)),
        await stripe.refund(modification("refund", "amount", "pi_1", amount, currency)),
    ):
        assert isinstance(refused, NotDone)
        assert (refused.code, refused.retryable) == (code, False)
    assert double.requests == []


@pytest.mark.parametrize(
    ("amount", "currency", "payment_method", "code"),
    [
        (1000, "USD", HOSTED_PAGE, None),
        (1000, "USD", "pm_card_visa", None),
        (1000, "USD", "card_1", None),
        (1000, "USD", "src_1", None),
        (1000, "USD", "tok_success", "payment_method_not_supported"),
        (5124, "KWD", HOSTED_PAGE, "amount_not_supported"),
        (100, "CLF", HOSTED_PAGE, "currency_not_supported"),
        (100, "CLF", "tok_success", "currency_not_supported"),
    ],
)
def test_stripe_says_without_a_call_what_it_cannot_take(
    amount: int, currency: str, payment_method: str, code: str | None
) -> None:
    for capture in (True, False):
        assert (
            CONNECTOR.unsupported(
                WantedCharge(money=Money(amount, currency), payment_method=payment_method, capture=capture)
            )
            == code
        )


async def test_an_amount_that_is_too_small_is_refused_by_stripe(stripe: Provider) -> None:
    refused = await stripe.open(charge_request("small", amount=49))
    assert isinstance(refused, NotDone)
    assert refused.code == "amount_not_supported"


def test_an_amount_that_a_currency_cannot_have_is_no_amount() -> None:
    assert from_stripe(501, "isk") is None
    assert from_stripe(None, "usd") is None
    assert from_stripe(100, "xyz") is None


def test_every_currency_is_sent_exactly_or_refused() -> None:
    for currency in CURRENCIES:
        money = Money(123_000, currency)
        sent = to_stripe(money)
        assert isinstance(sent, NotDone) or from_stripe(sent, currency) == money, currency
