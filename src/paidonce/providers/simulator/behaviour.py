"""The behaviour of the test payment methods and amounts. All others succeed."""

import re
from typing import Final, NamedTuple

from paidonce.providers.simulator.faults import Fault, WebhookFault

DECLINE: Final = re.compile(r"tok_declined_([a-z][a-z0-9_]{0,63})")
DELAY: Final = re.compile(r"tok_delay_([0-9]{1,6})")
DELAY_MS_MAX: Final = 600_000

# The last four digits of the amount, for clients that send no payment method.
DEFAULT_METHOD: Final = "tok_success"
MAGIC_AMOUNTS: Final = {4002: "do_not_honor", 4995: "insufficient_funds"}

# Charges that succeed, but whose capture or refund is declined.
CHANGES_DECLINED: Final = {
    "tok_capture_declined": ("CAPTURE", "authorization_expired"),
    "tok_refund_declined": ("REFUND", "refund_refused"),
}

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
    declined_kind, code = CHANGES_DECLINED.get(payment_method, ("", None))
    return code if kind == declined_kind else None
