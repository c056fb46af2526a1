"""Stripe's test payment methods, and what happens to a payment with them (docs.stripe.com/testing, read 2026-11)."""

from typing import Final, NamedTuple

from paidonce.providers.simulator.faults import Fault


class Card(NamedTuple):
    """``decline`` is the code and the decline code of a payment that fails."""

    decline: tuple[str, str] | None = None
    asks_buyer: bool = False
    refund: str = "succeeded"


_DECLINES: Final = {
    "": ("card_declined", "generic_decline"),
    "InsufficientFunds": ("card_declined", "insufficient_funds"),
    "LostCard": ("card_declined", "lost_card"),
    "StolenCard": ("card_declined", "stolen_card"),
    "ExpiredCard": ("expired_card", "expired_card"),
    "IncorrectCvc": ("incorrect_cvc", "incorrect_cvc"),
    "ProcessingError": ("processing_error", "processing_error"),
    "VelocityLimitExceeded": ("card_declined", "card_velocity_exceeded"),
}

CARDS: Final = {
    "pm_card_visa": Card(),
    "pm_card_mastercard": Card(),
    "pm_card_amex": Card(),
    **{
        f"pm_card_{brand}chargeDeclined{name}": Card(codes)
        for brand in ("", "visa_")
        for name, codes in _DECLINES.items()
    },
    "pm_card_radarBlock": Card(("card_declined", "fraudulent")),
    "pm_card_threeDSecure2Required": Card(asks_buyer=True),
    "pm_card_threeDSecureRequired": Card(asks_buyer=True),
    "pm_card_authenticationRequired": Card(asks_buyer=True),
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": Card(
        ("card_declined", "insufficient_funds"), asks_buyer=True
    ),
    "pm_card_pendingRefund": Card(refund="pending"),
    "pm_card_refundFail": Card(refund="failing"),
    "pm_double_dropped_after_charge": Card(),
    "pm_double_error_after_charge": Card(),
    "pm_double_silent_after_charge": Card(),
}

# Of the double alone: the first confirmation is made, and its answer is lost, or is an error that is stored.
FAULTS: Final = {
    "pm_double_dropped_after_charge": Fault.DROPPED_AFTER,
    "pm_double_error_after_charge": Fault.ERROR_AFTER,
    "pm_double_silent_after_charge": Fault.TIMEOUT_AFTER,
}
