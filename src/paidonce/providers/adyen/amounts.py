"""Amounts as Adyen writes them. Its unit differs from ISO 4217's minor unit in four currencies.

From "Currency codes and minor units" (docs.adyen.com/development-resources/currency-codes, read 2026-11): CLP and ISK
have two decimals there, CVE and IDR none.
"""

from typing import Final

import iso4217

from paidonce.money import Money
from paidonce.providers.decline_codes import AMOUNT_NOT_SUPPORTED
from paidonce.providers.evidence import NotDone

_ISO_DECIMALS: Final = {currency.code: currency.exponent or 0 for currency in iso4217.Currency}
_ADYEN_DECIMALS: Final = _ISO_DECIMALS | {"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2}


def to_adyen(money: Money) -> int | NotDone:
    """Return an amount in Adyen's unit, or NotDone where Adyen cannot take it."""
    currency = money.currency
    amount, left = _scaled(money.amount, _ADYEN_DECIMALS[currency] - _ISO_DECIMALS[currency])
    if left:
        return NotDone(f"the amount is finer than Adyen counts {currency}; nothing was sent", AMOUNT_NOT_SUPPORTED)
    return amount


def from_adyen(amount: int, currency: str) -> Money | None:
    """Return an amount of Adyen's as money; None where the currency has no such value."""
    if currency not in _ISO_DECIMALS:
        return None
    minor_units, left = _scaled(amount, _ISO_DECIMALS[currency] - _ADYEN_DECIMALS[currency])
    return None if left else Money(minor_units, currency)


def _scaled(amount: int, decimals: int) -> tuple[int, int]:
    """Move the decimal point; the second number is what is lost."""
    return (amount * 10**decimals, 0) if decimals >= 0 else divmod(amount, 10**-decimals)
