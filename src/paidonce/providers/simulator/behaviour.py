"""What the test payment methods and magic amounts do. Everything that is not named here succeeds."""

import re
from typing import Final, NamedTuple

from paidonce.providers.simulator.faults import Fault, WebhookFault

DECLINE: Final = re.compile(r"tok_declined_([a-z][a-z0-9_]{0,63})")
DELAY: Final = re.compile(r"tok_delay_([0-9]{1,6})")
DELAY_MS_MAX: Final = 600_000

# For clients that send no method: the last four digits of the amount.
DEFAULT_METHOD: Final = "tok_success"
MAGIC_AMOUNTS: Final = {4002: "do_not_honor", 4995: "insufficient_funds"}

# Charges that succeed, and whose later change is declined.
CHANGES_DECLINED: Final = {
    "tok_capture_declined": ("CAPTURE", "authorization_expired"),
    "tok_refund_declined": ("REFUND", "refund_refused"),
}

# What goes wrong with the first call of a key.
FAULTS: Final = {
    "tok_timeout_then_success": Fault.TIMEOUT_AFTER,
    "tok_timeout_then_decline": Fault.TIMEOUT_AFTER,
    "tok_error_then_success": Fault.ERROR_BEFORE,
    "tok_error_after_charge": Fault.ERROR_AFTER,
    "tok_unknown_then_success": Fault.HIDDEN,
}

# What becomes of the charge's webhook, where the provider sends any.
FATES: Final = {
    "tok_webhook_first": WebhookFault.FIRST,
    "tok_webhook_twice": WebhookFault.TWICE,
    "tok_webhook_never": WebhookFault.NEVER,
}


# The provider takes another amount than it was asked for, and says so: by so many minor units.
OTHER_AMOUNTS: Final = {"tok_other_amount": 1}


class Behaviour(NamedTuple):
    """How a charge goes: its decline code if it is declined, what goes wrong, its webhook, a latency of its own, and by
    how much its amount is another than was asked for.

    Where ``fault`` is NONE or ``webhook_fault`` is None, the fault plan decides.
    """

    decline_code: str | None = None
    fault: Fault = Fault.NONE
    webhook_fault: WebhookFault | None = None
    latency_ms: int | None = None
    amount_off: int = 0


def behaviour_of(payment_method: str, amount: int) -> Behaviour:
    """Tell how a charge of ``amount`` minor units with this method goes."""
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
        FATES.get(payment_method),
        min(int(delayed[1]), DELAY_MS_MAX) if delayed else None,
        OTHER_AMOUNTS.get(payment_method, 0),
    )


def change_declined(payment_method: str, kind: str) -> str | None:
    """Tell the code with which a capture or refund of a charge by this method is declined; None where it is not."""
    declined_kind, code = CHANGES_DECLINED.get(payment_method, ("", None))
    return code if kind == declined_kind else None
