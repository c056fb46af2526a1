"""Stripe's units of money (docs.stripe.com/currencies, read 2026-11)."""

from typing import Final

import iso4217

WITHOUT_DECIMALS: Final = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf")
)
WHOLE: Final = frozenset({"isk", "ugx"})  # With two decimals that are 00.
CURRENCIES: Final = {currency.code.lower(): currency.exponent for currency in iso4217.Currency}


def minor_units(amount: int, currency: str) -> int:
    """Return an amount of Stripe's in minor units of ISO 4217."""
    if currency in WHOLE:
        return amount // 100
    decimals = CURRENCIES[currency] or 0
    return amount * 10**decimals if currency in WITHOUT_DECIMALS else amount
