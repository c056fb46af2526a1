"""What a buyer pays with on the page of the double, and what happens to the payment then.

The names are the double's own. The issues are those of PayPal's negative testing
(developer.paypal.com/tools/sandbox/negative-testing/request-headers).
"""

from typing import Final, NamedTuple

from paidonce.providers.simulator.faults import Fault

BALANCE: Final = "balance"


class Funding(NamedTuple):
    """``issue`` is the reason for which PayPal refuses the charge. The statuses are those that a payment has first, and
    ``then`` those that it has after it was looked at a few times.
    """

    issue: str = ""
    asks_again: bool = False
    fault: Fault = Fault.NONE
    charge: str = "COMPLETED"
    charge_then: str = ""
    capture: str = "COMPLETED"
    capture_then: str = ""
    refund: str = "COMPLETED"
    refund_then: str = ""


FUNDINGS: Final = {
    BALANCE: Funding(),
    "instrument_declined": Funding(issue="INSTRUMENT_DECLINED"),
    "transaction_refused": Funding(issue="TRANSACTION_REFUSED"),
    "payer_cannot_pay": Funding(issue="PAYER_CANNOT_PAY"),
    "card_expired": Funding(issue="CARD_EXPIRED"),
    "asks_again": Funding(asks_again=True),
    "pending": Funding(charge="PENDING", charge_then="COMPLETED"),
    "pending_then_declined": Funding(charge="PENDING", charge_then="DECLINED"),
    "capture_pending": Funding(capture="PENDING", capture_then="COMPLETED"),
    "capture_pending_then_declined": Funding(capture="PENDING", capture_then="DECLINED"),
    "refund_pending": Funding(refund="PENDING", refund_then="COMPLETED"),
    "refund_pending_then_failed": Funding(refund="PENDING", refund_then="FAILED"),
    # The first charge is made, and its answer is lost, or is an error.
    "dropped_after_charge": Funding(fault=Fault.DROPPED_AFTER),
    "error_after_charge": Funding(fault=Fault.ERROR_AFTER),
    "silent_after_charge": Funding(fault=Fault.TIMEOUT_AFTER),
    "error_before_charge": Funding(fault=Fault.ERROR_BEFORE),
}
