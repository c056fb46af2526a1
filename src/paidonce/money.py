"""Money: an integer in a currency's minor unit, and the currency."""

from typing import Final, NamedTuple

import iso4217

AMOUNT_MAX: Final = 999_999_999_999  # The contract's limit: nearly ten billion in a currency with two decimals.

# How many decimals the minor unit of each active currency is, as ISO 4217 has it. A code without a minor unit (XAU, …)
# is left out, because "1000" would mean nothing.
DECIMALS: Final = {currency.code: currency.exponent for currency in iso4217.Currency if currency.exponent is not None}
CURRENCIES: Final = frozenset(DECIMALS)


class Money(NamedTuple):
    """``amount`` in minor units (1000 USD is 10.00, 1000 JPY is 1000) and an ISO 4217 code."""

    amount: int
    currency: str
