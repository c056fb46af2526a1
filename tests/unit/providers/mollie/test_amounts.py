"""Amounts as Mollie writes them, and the payment methods that it can take."""

import pytest

from paidonce.money import CURRENCIES, Money
from paidonce.providers.base import HOSTED_PAGE, WantedCharge
from paidonce.providers.evidence import NotDone
from paidonce.providers.mollie import CONNECTOR
from paidonce.providers.mollie.amounts import from_mollie, to_mollie
from paidonce.providers.mollie.wire import Amount
from tests.support.doubles import charge_request, modification
from tests.support.mollie import connected
from tests.support.raw_server import raw_server


@pytest.mark.parametrize(
    ("amount", "currency", "value"),
    [
        (1000, "USD", "10.00"),
        (5, "EUR", "0.05"),
        (500, "JPY", "500"),
        (500, "ISK", "500"),
        (1050, "HUF", "10.50"),
        (999_999_999_999, "EUR", "9999999999.99"),
    ],
)
def test_an_amount_has_the_decimals_of_its_currency_and_is_read_back(amount: int, currency: str, value: str) -> None:
    assert to_mollie(Money(amount, currency)) == Amount(currency, value)
    assert from_mollie(Amount(currency, value)) == Money(amount, currency)


@pytest.mark.parametrize(
    ("currency", "value"),
    [
        ("USD", "10"),
        ("USD", "10.0"),
        ("USD", "10.000"),
        ("USD", "-10.00"),
        ("USD", " 10.00"),
        ("USD", "1e3"),
        ("USD", "10,00"),
        ("USD", "\u0661\u0660.\u0660\u0660"),
        ("JPY", "500.00"),
        ("KWD", "1.000"),
        ("XYZ", "10.00"),
    ],
)
def test_an_amount_that_a_currency_cannot_have_is_no_amount(currency: str, value: str) -> None:
    assert from_mollie(Amount(currency, value)) is None


def test_every_currency_is_sent_exactly_or_refused() -> None:
    for currency in CURRENCIES:
        money = Money(123_000, currency)
        sent = to_mollie(money)
        assert isinstance(sent, NotDone) or from_mollie(sent) == money, currency


@pytest.mark.parametrize("currency", ["KWD", "CLF", "INR"])
async def test_what_mollie_cannot_take_is_refused_before_anything_is_sent(currency: str) -> None:
    async with raw_server() as server, connected(server.url) as mollie:
        for refused in (
            await mollie.open(charge_request("amount", currency=currency)),
            await mollie.capture(modification("capture", "amount", "tr_1234", 1000, currency)),
            await mollie.refund(modification("refund", "amount", "tr_1234", 1000, currency)),
        ):
            assert isinstance(refused, NotDone)
            assert (refused.code, refused.retryable) == ("currency_not_supported", False)
        assert server.requests == []


@pytest.mark.parametrize(
    ("method", "for_charge", "for_authorization"),
    [
        (HOSTED_PAGE, None, None),
        ("creditcard", None, None),
        ("ideal", None, "payment_method_not_supported"),
        ("klarna", "payment_method_not_supported", "payment_method_not_supported"),
        ("tok_success", "payment_method_not_supported", "payment_method_not_supported"),
        ("", "payment_method_not_supported", "payment_method_not_supported"),
    ],
)
async def test_a_method_that_cannot_be_taken_is_refused_before_anything_is_sent(
    method: str, for_charge: str | None, for_authorization: str | None
) -> None:
    async with raw_server() as server, connected(server.url) as mollie:
        for capture, code in ((True, for_charge), (False, for_authorization)):
            assert (
                CONNECTOR.unsupported(WantedCharge(money=Money(1000, "EUR"), payment_method=method, capture=capture))
                == code
            )
            if code is not None:
                refused = await mollie.open(charge_request("method", method, capture=capture))
                assert isinstance(refused, NotDone)
                assert (refused.code, refused.retryable) == (code, False)
        assert server.requests == []


async def test_a_payment_without_a_url_to_return_to_is_refused_before_anything_is_sent() -> None:
    async with raw_server() as server, connected(server.url) as mollie:
        assert isinstance(await mollie.open(charge_request("return", return_url=None)), NotDone)
        assert server.requests == []
