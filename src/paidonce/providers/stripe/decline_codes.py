"""Stripe's decline codes, mapped to ours.

From "Stripe decline codes" (docs.stripe.com/declines/codes) and "Error codes" (docs.stripe.com/error-codes), read
2026-11. A code that is not listed is ``declined``.
"""

from collections.abc import Mapping
from typing import Final

from paidonce.providers import decline_codes as ours

_CODES: Final[Mapping[str, tuple[str, ...]]] = {
    ours.INSUFFICIENT_FUNDS: ("insufficient_funds", "insufficient_balance", "balance_insufficient"),
    ours.LIMIT_EXCEEDED: (
        "card_velocity_exceeded",
        "withdrawal_count_limit_exceeded",
        "charge_exceeds_source_limit",
        "charge_exceeds_transaction_limit",
        "charge_exceeds_weekly_limit",
    ),
    ours.DO_NOT_HONOR: (
        "do_not_honor",
        "call_issuer",
        "no_action_taken",
        "not_permitted",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "security_violation",
        "stop_payment_order",
        "do_not_try_again",
    ),
    ours.EXPIRED_CARD: ("expired_card", "expired_or_canceled_card"),
    ours.INCORRECT_DETAILS: (
        "incorrect_number",
        "invalid_number",
        "incorrect_cvc",
        "invalid_cvc",
        "incorrect_zip",
        "incorrect_address",
        "incorrect_pin",
        "invalid_pin",
        "invalid_account",
        "new_account_information_available",
        "invalid_expiry_month",
        "invalid_expiry_year",
        "pin_try_exceeded",
    ),
    ours.AUTHENTICATION_FAILED: (
        "authentication_required",
        "authentication_not_handled",
        "offline_pin_required",
        "online_or_offline_pin_required",
        "mobile_device_authentication_required",
        "payment_intent_authentication_failure",
    ),
    ours.SUSPECTED_FRAUD: (
        "fraudulent",
        "merchant_blacklist",
        "previously_declined_do_not_retry",
        "highest_risk_level",
    ),
    ours.LOST_OR_STOLEN_CARD: ("lost_card", "stolen_card", "pickup_card", "restricted_card", "lost_or_stolen_card"),
    ours.CARD_NOT_SUPPORTED: (
        "card_not_supported",
        "transaction_not_allowed",
        "service_not_allowed",
        "testmode_decline",
        "live_mode_test_card",
        "test_mode_live_card",
        "payment_method_not_available",
    ),
    ours.CURRENCY_NOT_SUPPORTED: ("currency_not_supported", "payment_method_currency_mismatch"),
    ours.AMOUNT_NOT_SUPPORTED: ("invalid_amount", "amount_too_large", "amount_too_small"),
    ours.TRY_AGAIN_LATER: (
        "try_again_later",
        "approve_with_id",
        "issuer_not_available",
        "processing_error",
        "reenter_transaction",
        "lock_timeout",
        "rate_limit",
        "payment_method_provider_timeout",
    ),
    ours.BUYER_CANCELED: ("payment_method_customer_decline", "requested_by_customer"),
    ours.SESSION_EXPIRED: ("abandoned", "automatic", "expired", "payment_intent_payment_attempt_expired"),
}
_OURS: Final = {stripe_code: code for code, stripe_codes in _CODES.items() for stripe_code in stripe_codes}


def decline_code(raw_code: str | None, otherwise: str = ours.DECLINED) -> str:
    """Return our code for one of Stripe's, or ``otherwise`` where none is listed."""
    return _OURS.get(raw_code or "", otherwise)
