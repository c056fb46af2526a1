"""Amounts as Stripe writes them. Its unit differs from ISO 4217's minor unit in some currencies.

From "Supported currencies" (docs.stripe.com/currencies, read 2026-11): zero-decimal currencies are sent as they are.
ISK and UGX have no decimals, and are still sent with two, which are 00. The last digit of an amount in a three-decimal
currency must be 0. An amount has at most 12 digits. The smallest amount depends on the currency in which the account is
paid out, so Stripe itself refuses what is too small.
"""

from typing import Final

import iso4217

from paidonce.money import Money
from paidonce.providers.base import EMBEDDED, HOSTED_PAGE, WantedCharge
from paidonce.providers.decline_codes import (
    AMOUNT_NOT_SUPPORTED,
    CURRENCY_NOT_SUPPORTED,
    PAYMENT_METHOD_NOT_SUPPORTED,
)
from paidonce.providers.evidence import NotDone

DIGITS_MAX: Final = 12  # Of a card payment. Stripe refuses, or does not offer, a method that takes less.
ZERO_DECIMAL: Final = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")
)
SENT_WITH_TWO_DECIMALS: Final = frozenset({"ISK", "UGX"})
_ISO_DECIMALS: Final = {currency.code: currency.exponent for currency in iso4217.Currency}


def to_stripe(money: Money) -> int | NotDone:
    """Return an amount in Stripe's unit, or NotDone where Stripe cannot take it."""
    decimals = _stripe_decimals(money.currency)
    if decimals is None:
        return NotDone(f"Stripe takes no {money.currency}; nothing was sent", CURRENCY_NOT_SUPPORTED)
    amount, left = _scaled(money.amount, decimals - (_ISO_DECIMALS[money.currency] or 0))
    if left or (decimals == 3 and amount % 10):  # noqa: PLR2004 - three-decimal currencies
        return NotDone(
            f"the amount is finer than Stripe counts {money.currency}; nothing was sent", AMOUNT_NOT_SUPPORTED
        )
    if not 0 < amount < 10**DIGITS_MAX:
        return NotDone(f"Stripe takes at most {DIGITS_MAX} digits; nothing was sent", AMOUNT_NOT_SUPPORTED)
    return amount


def unsupported(charge: WantedCharge) -> str | None:
    """Return the decline code of a charge that Stripe cannot take; None where nothing speaks against it.

    ``payment_method`` is HOSTED_PAGE, EMBEDDED, or the id of a PaymentMethod, a Source or a Card
    (docs.stripe.com/api, "Create a PaymentIntent": ``payment_method``).
    """
    amount = to_stripe(charge.money)
    if isinstance(amount, NotDone):
        return amount.code
    method = charge.payment_method
    is_known = method in {HOSTED_PAGE, EMBEDDED} or method.startswith(("pm_", "src_", "card_"))
    return None if is_known else PAYMENT_METHOD_NOT_SUPPORTED


def from_stripe(amount: int | None, currency: str) -> Money | None:
    """Return an amount of Stripe's as money; None where there is none, or where it has no such value."""
    code = currency.upper()
    decimals = _stripe_decimals(code)
    if amount is None or decimals is None:
        return None
    minor_units, left = _scaled(amount, (_ISO_DECIMALS[code] or 0) - decimals)
    return None if left else Money(minor_units, code)


def _stripe_decimals(currency: str) -> int | None:
    """Return with how many decimals Stripe writes a currency; None where that is not known."""
    if currency in ZERO_DECIMAL:
        return 0
    if currency in SENT_WITH_TWO_DECIMALS:
        return 2
    decimals = _ISO_DECIMALS.get(currency)
    return decimals if decimals in {2, 3} else None


def _scaled(amount: int, decimals: int) -> tuple[int, int]:
    """Move the decimal point; the second number is what is lost."""
    return (amount * 10**decimals, 0) if decimals >= 0 else divmod(amount, 10**-decimals)
