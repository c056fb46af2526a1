"""Currencies: those that have a minor unit, and no others."""

import pytest

from paidonce.money import CURRENCIES


@pytest.mark.parametrize("code", ["USD", "EUR", "JPY", "KWD", "BHD", "CLF"])
def test_a_currency_in_use_is_known(code: str) -> None:
    assert code in CURRENCIES


@pytest.mark.parametrize("code", ["XAU", "XXX", "XTS", "XDR"])
def test_a_code_without_a_minor_unit_is_no_currency_to_pay_in(code: str) -> None:
    assert code not in CURRENCIES


@pytest.mark.parametrize("code", ["DEM", "FRF", "ITL", "ZZZ", "usd", "US", ""])
def test_a_code_that_is_not_in_use_is_not_known(code: str) -> None:
    assert code not in CURRENCIES


def test_every_currency_is_three_upper_case_letters() -> None:
    assert [code for code in CURRENCIES if not (len(code) == 3 and code.isascii() and code.isupper())] == []
