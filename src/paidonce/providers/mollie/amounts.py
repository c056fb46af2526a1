"""Amounts as Mollie writes them: decimal strings with exactly the decimals of the currency.

From "Multicurrency" (docs.mollie.com/docs/multicurrency, read 2026-11): its table lists the currencies, and has two
decimals for each but ISK and JPY, which have none. What a payment method takes at the least and at the most, and in
which currencies, depends on the method, so Mollie itself refuses the rest.
"""

import re
from typing import Final

from paidonce.money import Money
from paidonce.providers.decline_codes import CURRENCY_NOT_SUPPORTED
from paidonce.providers.evidence import NotDone
from paidonce.providers.mollie.wire import Amount

DECIMALS: Final = {
    **dict.fromkeys(
        ("AED", "AUD", "BRL", "CAD", "CHF", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "MXN", "MYR"), 2
    ),
    **dict.fromkeys(("NOK", "NZD", "PHP", "PLN", "RON", "SEK", "SGD", "THB", "TWD", "USD", "ZAR"), 2),
    **dict.fromkeys(("ISK", "JPY"), 0),
}
VALUE: Final = re.compile(r"(\d{1,15})(?:\.(\d{1,3}))?", re.ASCII)


def to_mollie(money: Money) -> Amount | NotDone:
    """Return an amount as Mollie writes it, or NotDone where Mollie cannot take it."""
    decimals = DECIMALS.get(money.currency)
    if decimals is None:
        return NotDone(f"Mollie takes no {money.currency}; nothing was sent", CURRENCY_NOT_SUPPORTED)
    if decimals == 0:
        return Amount(money.currency, str(money.amount))
    whole, part = divmod(money.amount, 10**decimals)
    return Amount(money.currency, f"{whole}.{part:0{decimals}d}")


def from_mollie(amount: Amount | None) -> Money | None:
    """Return an amount of Mollie's as money; None where there is none, or where it has no such value."""
    if amount is None:
        return None
    decimals, found = DECIMALS.get(amount.currency), VALUE.fullmatch(amount.value)
    if decimals is None or found is None or len(found[2] or "") != decimals:
        return None
    return Money(int(found[1] + (found[2] or "")), amount.currency)
