"""What PayPal's webhooks tell of disputes.

From the API reference "Disputes" v1 (developer.paypal.com/docs/api/customer-disputes/v1): the stages of a dispute, and
the outcome codes of one that is resolved.
"""

from typing import Final, Literal

from paidonce.providers.evidence import Dispute, UnclearChange
from paidonce.providers.paypal import wire
from paidonce.providers.paypal.amounts import from_paypal

INQUIRY: Final = "INQUIRY"  # Buyer and merchant talk to each other: nothing is claimed yet.
RESOLVED: Final = "RESOLVED"
OUTCOMES: Final[dict[str | None, Literal["won", "lost"]]] = {
    "RESOLVED_SELLER_FAVOUR": "won",
    "RESOLVED_WITH_PAYOUT": "won",  # PayPal pays the buyer itself.
    "CANCELED_BY_BUYER": "won",
    "DENIED": "won",
    "RESOLVED_BUYER_FAVOUR": "lost",
    "ACCEPTED": "lost",
}


def of_dispute(dispute: wire.Dispute) -> tuple[Dispute | UnclearChange | None, str | None]:
    """Return what a dispute tells, and a capture that it is about; None for an inquiry.

    A dispute of several payments, whose amount belongs to none of them, and an outcome that is not listed above are for
    a person: the money may be gone.
    """
    captures = [one.seller_transaction_id for one in dispute.disputed_transactions]
    if not captures or dispute.dispute_life_cycle_stage == INQUIRY:
        return None, None
    money = from_paypal(dispute.dispute_amount)
    if money is None or len(captures) > 1:
        reason = f"the dispute {dispute.dispute_id} is about several payments, or its amount cannot be read"
        return UnclearChange(reason), captures[0]
    status: Literal["opened", "won", "lost"] | None = "opened"
    if dispute.status == RESOLVED:
        status = OUTCOMES.get(dispute.dispute_outcome.outcome_code if dispute.dispute_outcome else None)
    if status is None:
        return UnclearChange(f"the dispute {dispute.dispute_id} was resolved with an unknown outcome"), captures[0]
    return Dispute(dispute.dispute_id, status, money.amount, money.currency, dispute.reason), captures[0]
