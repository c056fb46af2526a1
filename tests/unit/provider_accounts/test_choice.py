"""Which accounts can take a charge, as their providers' connectors say without a call."""

from typing import Final

import pytest

from paidonce.errors import AmountNotSupported, CurrencyNotSupported, PaidonceError, PaymentMethodNotSupported
from paidonce.money import Money
from paidonce.provider_accounts.choice import choose_able
from paidonce.provider_accounts.model import ProviderAccount
from paidonce.providers.base import Connector, WantedCharge

MANUAL_YEN: Final = WantedCharge(money=Money(500, "JPY"), payment_method="tok", capture=False)


def account(account_id: str, provider: str) -> ProviderAccount:
    return ProviderAccount(
        id=account_id,
        merchant_id="m1",
        provider=provider,
        mode="test",
        name="",
        status="ACTIVE",
        credentials="",
        hints="{}",
        position=1,
        version=0,
        created_at=0,
        updated_at=0,
        disabled_at=None,
    )


def connector(name: str, code: str | None) -> Connector:
    """Make a connector that refuses the charge with this code."""

    def unsupported(charge: WantedCharge) -> str | None:
        assert (charge.money, charge.payment_method, charge.capture) == (Money(500, "JPY"), "tok", False)
        return code

    def never(_: object) -> object:
        raise AssertionError("nothing is opened to choose")

    return Connector(name=name, display_name=name.title(), credential_fields=(), open=never, unsupported=unsupported)  # type: ignore[arg-type] # it is never called


def test_the_accounts_that_can_take_the_charge_are_left_in_their_order() -> None:
    connectors = {"a": connector("a", None), "b": connector("b", "currency_not_supported"), "c": connector("c", None)}
    accounts = [account("1", "c"), account("2", "b"), account("3", "a"), account("4", "b"), account("5", "c")]
    able = choose_able(accounts, MANUAL_YEN, connectors)
    assert not isinstance(able, PaidonceError)
    assert [one.id for one in able] == ["1", "3", "5"]


@pytest.mark.parametrize(
    ("code", "error", "detail"),
    [
        ("currency_not_supported", CurrencyNotSupported, "JPY is not supported by A or B."),
        ("amount_not_supported", AmountNotSupported, "This amount of JPY is not supported by A or B."),
        (
            "payment_method_not_supported",
            PaymentMethodNotSupported,
            "This payment method is not supported by A or B. Without one, the buyer pays on the provider's page.",
        ),
    ],
)
def test_where_no_account_can_the_error_says_whether_currency_amount_or_method_is_the_reason(
    code: str, error: type[PaidonceError], detail: str
) -> None:
    connectors = {"a": connector("a", "amount_not_supported"), "b": connector("b", code)}
    refused = choose_able([account("1", "b"), account("2", "a")], MANUAL_YEN, connectors)
    assert isinstance(refused, error)
    assert refused.detail == detail


def test_a_connector_that_says_nothing_takes_every_charge() -> None:
    silent = Connector(name="a", display_name="A", credential_fields=(), open=lambda _: pytest.fail("not opened"))
    accounts = [account("1", "a"), account("2", "of another release")]
    assert choose_able(accounts, MANUAL_YEN, {"a": silent}) == accounts
