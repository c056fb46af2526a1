"""PayPal's issues and processor codes, mapped to our decline codes.

From the errors of Orders v2 and Payments v2 in PayPal's OpenAPI documents, and "Processor responses"
(developer.paypal.com/api/orders/v2), read 2026-11. A code that is not listed is ``declined``.
"""

from collections.abc import Mapping
from typing import Final

from paidonce.providers import decline_codes as ours

CLOSED: Final = "ORDER_CLOSED"  # Ours: written on an order that we closed without a decline.

_CODES: Final[Mapping[str, tuple[str, ...]]] = {
    ours.INSUFFICIENT_FUNDS: ("5120",),
    ours.LIMIT_EXCEEDED: (
        "TRANSACTION_LIMIT_EXCEEDED",
        "TRANSACTION_RECEIVING_LIMIT_EXCEEDED",
        "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED",
    ),
    ours.DO_NOT_HONOR: (
        "INSTRUMENT_DECLINED",
        "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING",
        "PAYER_CANNOT_PAY",
        "PAYER_ACCOUNT_RESTRICTED",
        "PAYER_ACCOUNT_LOCKED_OR_CLOSED",
        "0500",
        "5180",
    ),
    ours.EXPIRED_CARD: ("CARD_EXPIRED", "5400"),
    ours.INCORRECT_DETAILS: ("00N7", "5110", "1330"),
    ours.SUSPECTED_FRAUD: (
        "TRANSACTION_REFUSED",
        "COMPLIANCE_VIOLATION",
        "PAYEE_BLOCKED_TRANSACTION",
        "TRANSACTION_BLOCKED_BY_PAYEE",
        "9500",
        "9520",
    ),
    ours.LOST_OR_STOLEN_CARD: ("9510", "9530"),
    ours.CARD_NOT_SUPPORTED: ("DOMESTIC_TRANSACTION_REQUIRED", "UNSUPPORTED_INTENT_FOR_PAYMENT_SOURCE"),
    ours.CURRENCY_NOT_SUPPORTED: (
        "INVALID_CURRENCY_CODE",
        "AUTH_CAPTURE_CURRENCY_MISMATCH",
        "REFUND_CAPTURE_CURRENCY_MISMATCH",
    ),
    ours.AMOUNT_NOT_SUPPORTED: (
        "DECIMAL_PRECISION",
        "DECIMALS_NOT_SUPPORTED",
        "MAX_VALUE_EXCEEDED",
        "CANNOT_BE_ZERO_OR_NEGATIVE",
        "MAX_CAPTURE_AMOUNT_EXCEEDED",
        "REFUND_AMOUNT_EXCEEDED",
        "REFUND_AMOUNT_TOO_LOW",
    ),
    ours.BUYER_CANCELED: ("AGREEMENT_ALREADY_CANCELLED",),
    ours.SESSION_EXPIRED: (CLOSED, "ORDER_EXPIRED", "VOIDED", "RESOURCE_NOT_FOUND"),
}
_OURS: Final = {paypal_code: code for code, paypal_codes in _CODES.items() for paypal_code in paypal_codes}

# The issues of a 422 that say that the buyer's money is not to be had, or may not be taken.
DECLINES: Final = frozenset(
    {
        *_CODES[ours.LIMIT_EXCEEDED],
        *_CODES[ours.DO_NOT_HONOR],
        *_CODES[ours.SUSPECTED_FRAUD],
        *_CODES[ours.CARD_NOT_SUPPORTED],
        *_CODES[ours.BUYER_CANCELED],
        "CARD_EXPIRED",
        "ORDER_EXPIRED",
        "DECLINED_DUE_TO_RELATED_TXN",
    }
)


def decline_code(raw_code: str | None, otherwise: str = ours.DECLINED) -> str:
    """Return our code for one of PayPal's, or ``otherwise`` where none is listed."""
    return _OURS.get(raw_code or "", otherwise)
