"""The behaviour of the test payment methods and amounts. All others succeed."""

import re
from typing import Final, NamedTuple

from paidonce.providers.base import HOSTED_PAGE
from paidonce.providers.simulator.faults import Fault, WebhookFault

DECLINE: Final = re.compile(r"tok_declined_([a-z][a-z0-9_]{0,63})")
DELAY: Final = re.compile(r"tok_delay_([0-9]{1,6})")
DELAY_MS_MAX: Final = 600_000

# The last four digits of the amount, for clients that send no payment method.
DEFAULT_METHOD: Final = "tok_success"
MAGIC_AMOUNTS: Final = {4002: "do_not_honor", 4995: "insufficient_funds"}

# Charges that succeed, but whose capture or refund is declined.
CHANGES_DECLINED: Final = {
    "tok_capture_declined": ("capture", "authorization_expired"),
    "tok_refund_declined": ("refund", "refund_refused"),
    "tok_refund_fails_late": ("refund", "expired_card"),
}

# The refund is reported as succeeded, and fails LATE_FAILURE_MS later.
REFUND_FAILS_LATE: Final = "tok_refund_fails_late"
LATE_FAILURE_MS: Final = 3000

# The provider reports that the authorization lapses after so many seconds; then a capture is declined.
CAPTURE_WITHIN: Final = re.compile(r"tok_capture_within_([0-9]{1,6})")

# The fault of the first call with a key.
FAULTS: Final = {
    "tok_timeout_then_success": Fault.TIMEOUT_AFTER,
    "tok_timeout_then_decline": Fault.TIMEOUT_AFTER,
    "tok_error_then_success": Fault.ERROR_BEFORE,
    "tok_error_after_charge": Fault.ERROR_AFTER,
    "tok_unknown_then_success": Fault.HIDDEN,
}

# The fault of the charge's webhook, where the provider sends webhooks.
WEBHOOK_FAULTS: Final = {
    "tok_webhook_first": WebhookFault.FIRST,
    "tok_webhook_twice": WebhookFault.TWICE,
    "tok_webhook_never": WebhookFault.NEVER,
}


# The provider charges a different amount, and reports it: the difference in minor units.
OTHER_AMOUNTS: Final = {"tok_other_amount": 1}


# Through a session: the buyer acts on the provider's page, or nobody has to.
REDIRECT: Final = re.compile(r"tok_redirect(?:_declined_([a-z][a-z0-9_]{0,63}))?")
THREE_D_SECURE: Final = "tok_3ds"
APPROVED_THEN_CHARGED: Final = "tok_redirect_then_charge"
WITHOUT_BUYER: Final = "tok_session"
BUYER_DECLINED: Final = "buyer_declined"

# The provider answers that it has accepted the operation, and tells the outcome ACCEPTED_MS later.
# By payment method: the kind of operation, and its decline code where it is declined in the end.
ACCEPTED: Final[dict[str, tuple[str, str | None]]] = {
    "tok_accepted": ("charge", None),
    "tok_accepted_then_declined": ("charge", "do_not_honor"),
    "tok_capture_accepted": ("capture", None),
    "tok_capture_accepted_then_failed": ("capture", "authorization_expired"),
    "tok_refund_accepted": ("refund", None),
    "tok_refund_accepted_then_failed": ("refund", "refund_refused"),
}
ACCEPTED_MS: Final = 3000

REFUSED: Final = "tok_refused"  # Refused with HTTP 400, and nothing is booked.
REPLAYED_ERROR: Final = "tok_replayed_error"  # Booked; the first and every later call gets the same HTTP 500.


def opens_session(payment_method: str) -> bool:
    """Tell whether a charge with this payment method is made through a session."""
    return payment_method == WITHOUT_BUYER or needs_buyer(payment_method)


def needs_buyer(payment_method: str) -> bool:
    """Tell whether the buyer must act on the provider's page."""
    return (
        payment_method in (HOSTED_PAGE, THREE_D_SECURE, APPROVED_THEN_CHARGED)
        or REDIRECT.fullmatch(payment_method) is not None
    )


def needs_charge(payment_method: str) -> bool:
    """Tell whether the approval of the buyer moves no money, so that the merchant charges afterwards."""
    return payment_method == APPROVED_THEN_CHARGED


def session_decline_code(payment_method: str) -> str | None:
    """Return the decline code of a session that is charged; None where it succeeds."""
    declined = REDIRECT.fullmatch(payment_method)
    return declined[1] if declined else None


class Behaviour(NamedTuple):
    """How a charge behaves: its decline code, its fault, its webhook's fault, its own latency, and the difference of
    its amount.

    Where ``fault`` is NONE or ``webhook_fault`` is None, the fault plan decides.
    """

    decline_code: str | None = None
    fault: Fault = Fault.NONE
    webhook_fault: WebhookFault | None = None
    latency_ms: int | None = None
    amount_off: int = 0


def behaviour_of(payment_method: str, amount: int) -> Behaviour:
    """Return the behaviour of a charge of ``amount`` minor units with this payment method."""
    declined = DECLINE.fullmatch(payment_method)
    delayed = DELAY.fullmatch(payment_method)
    if declined:
        decline_code: str | None = declined[1]
    elif payment_method == "tok_timeout_then_decline":
        decline_code = "do_not_honor"
    elif is_accepted_first(payment_method, "charge"):
        decline_code = ACCEPTED[payment_method][1]
    else:
        decline_code = MAGIC_AMOUNTS.get(amount % 10_000) if payment_method == DEFAULT_METHOD else None
    return Behaviour(
        decline_code,
        FAULTS.get(payment_method, Fault.NONE),
        WEBHOOK_FAULTS.get(payment_method),
        min(int(delayed[1]), DELAY_MS_MAX) if delayed else None,
        OTHER_AMOUNTS.get(payment_method, 0),
    )


def change_declined(payment_method: str, kind: str) -> str | None:
    """Return the decline code of a capture or refund of a charge with this payment method; None where it succeeds."""
    declined_kind, code = (CHANGES_DECLINED | ACCEPTED).get(payment_method, ("", None))
    return code if kind == declined_kind else None


def capture_within_ms(payment_method: str) -> int | None:
    """Return how long an authorization with this payment method lasts; None where the provider does not report it."""
    limited = CAPTURE_WITHIN.fullmatch(payment_method)
    return int(limited[1]) * 1000 if limited else None


def fails_late(payment_method: str, kind: str) -> bool:
    """Tell whether such an operation is reported as succeeded first, and fails later."""
    return payment_method == REFUND_FAILS_LATE and kind == "refund"


def is_accepted_first(payment_method: str, kind: str) -> bool:
    """Tell whether the provider accepts such an operation first, and tells its outcome later."""
    return payment_method in ACCEPTED and ACCEPTED[payment_method][0] == kind
