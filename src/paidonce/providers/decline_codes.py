"""The decline codes that connectors map a provider's own codes to, so that a merchant's code reads one list.

The provider's own code is kept beside it, in ``Declined.raw_code``.
"""

from typing import Final

INSUFFICIENT_FUNDS: Final = "insufficient_funds"
LIMIT_EXCEEDED: Final = "limit_exceeded"  # An amount or number of payments that the issuer allows.
DO_NOT_HONOR: Final = "do_not_honor"  # The issuer gives no reason.
EXPIRED_CARD: Final = "expired_card"
INCORRECT_DETAILS: Final = "incorrect_details"  # Number, security code, expiry, PIN or address.
AUTHENTICATION_FAILED: Final = "authentication_failed"  # Required and not given, or failed (3-D Secure).
SUSPECTED_FRAUD: Final = "suspected_fraud"
LOST_OR_STOLEN_CARD: Final = "lost_or_stolen_card"
CARD_NOT_SUPPORTED: Final = "card_not_supported"  # Not this kind of card, or not for this kind of purchase.
CURRENCY_NOT_SUPPORTED: Final = "currency_not_supported"
PAYMENT_METHOD_NOT_SUPPORTED: Final = "payment_method_not_supported"  # The provider has no such payment method.
AMOUNT_NOT_SUPPORTED: Final = "amount_not_supported"  # Too small, too large, or finer than the provider counts.
TRY_AGAIN_LATER: Final = "try_again_later"  # The issuer or a network was not available.
BUYER_CANCELED: Final = "buyer_canceled"
SESSION_EXPIRED: Final = "session_expired"  # The buyer did not pay in time.
PROVIDER_REFUSED: Final = "provider_refused"  # The provider did not take the request.
DECLINED: Final = "declined"  # Anything else.

DECLINE_CODES: Final = frozenset(
    {
        INSUFFICIENT_FUNDS,
        LIMIT_EXCEEDED,
        DO_NOT_HONOR,
        EXPIRED_CARD,
        INCORRECT_DETAILS,
        AUTHENTICATION_FAILED,
        SUSPECTED_FRAUD,
        LOST_OR_STOLEN_CARD,
        CARD_NOT_SUPPORTED,
        CURRENCY_NOT_SUPPORTED,
        PAYMENT_METHOD_NOT_SUPPORTED,
        AMOUNT_NOT_SUPPORTED,
        TRY_AGAIN_LATER,
        BUYER_CANCELED,
        SESSION_EXPIRED,
        PROVIDER_REFUSED,
        DECLINED,
    }
)
