"""Amounts as PayPal writes them: decimal strings.

From "Currency codes" (developer.paypal.com/api/rest/reference/currency-codes) and the OpenAPI document of Orders v2
(github.com/paypal/paypal-rest-api-specifications), read 2026-11: HUF, JPY and TWD have no decimals at PayPal, although
ISO 4217 gives HUF and TWD two. All other currencies have two. An amount has at most 15 digits before the decimal point.
BRL, CNY and MYR are taken by accounts of their own countries only; PayPal itself refuses them elsewhere.
"""

import re
from typing import Final

import iso4217

from paidonce.money import Money
from paidonce.providers.base import HOSTED_PAGE, WantedCharge
from paidonce.providers.decline_codes import (
    AMOUNT_NOT_SUPPORTED,
    CURRENCY_NOT_SUPPORTED,
    PAYMENT_METHOD_NOT_SUPPORTED,
)
from paidonce.providers.evidence import NotDone
from paidonce.providers.paypal.wire import Amount

WHOLE: Final = frozenset({"HUF", "JPY", "TWD"})
WITH_CENTS: Final = frozenset(
    {
        *("AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "ILS"),
        *("MXN", "MYR", "NOK", "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "USD"),
    }
)
WHOLE_DIGITS_MAX: Final = 15
WALLET: Final = "paypal"
METHODS: Final = frozenset({HOSTED_PAGE, WALLET})  # Both are PayPal's page.
_ISO_DECIMALS: Final = {currency.code: currency.exponent or 0 for currency in iso4217.Currency}
_WRITTEN: Final = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,2}))?")


def to_paypal(money: Money) -> Amount | NotDone:
    """Return an amount as PayPal writes it, or NotDone where PayPal cannot take it."""
    if money.currency not in WHOLE | WITH_CENTS:
        return NotDone(f"PayPal takes no {money.currency}; nothing was sent", CURRENCY_NOT_SUPPORTED)
    whole, rest = divmod(money.amount, 10 ** _ISO_DECIMALS[money.currency])
    if rest and money.currency in WHOLE:
        return NotDone(f"PayPal counts {money.currency} without decimals; nothing was sent", AMOUNT_NOT_SUPPORTED)
    if money.amount <= 0 or whole >= 10**WHOLE_DIGITS_MAX:
        return NotDone(
            f"PayPal takes at most {WHOLE_DIGITS_MAX} digits before the point; nothing was sent", AMOUNT_NOT_SUPPORTED
        )
    return Amount(money.currency, str(whole) if money.currency in WHOLE else f"{whole}.{rest:02}")


def unsupported(charge: WantedCharge) -> str | None:
    """Return the decline code of a charge that PayPal cannot take; None where nothing speaks against it."""
    amount = to_paypal(charge.money)
    if isinstance(amount, NotDone):
        return amount.code
    return None if charge.payment_method in METHODS else PAYMENT_METHOD_NOT_SUPPORTED


def from_paypal(amount: Amount | None) -> Money | None:
    """Return an amount of PayPal's as money; None where there is none, or where it cannot be read."""
    if amount is None or amount.currency_code not in WHOLE | WITH_CENTS:
        return None
    written = _WRITTEN.fullmatch(amount.value)
    if written is None:
        return None
    decimals = _ISO_DECIMALS[amount.currency_code]
    fraction = (written[2] or "").ljust(decimals, "0")
    if fraction[decimals:].strip("0"):
        return None
    return Money(int(written[1] + fraction[:decimals]), amount.currency_code)
