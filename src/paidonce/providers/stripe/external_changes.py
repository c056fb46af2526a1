"""What Stripe's webhooks tell of charges that somebody changed without a request of ours.

From the API reference of Refunds, Disputes and PaymentIntents (docs.stripe.com/api), read 2026-11.
"""

from typing import Final, Literal

from paidonce.providers.evidence import AuthorizationEnded, Dispute, ExternalRefund
from paidonce.providers.stripe import wire
from paidonce.providers.stripe.amounts import from_stripe
from paidonce.providers.stripe.decline_codes import decline_code

# A status that is missing tells nothing. Stripe takes no money for an inquiry, whose statuses begin with "warning".
REFUND_STATUS: Final[dict[str, Literal["pending", "succeeded", "failed"]]] = {
    "pending": "pending",
    "requires_action": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "failed",
}
DISPUTE_STATUS: Final[dict[str, Literal["opened", "won", "lost"]]] = {
    "needs_response": "opened",
    "under_review": "opened",
    "won": "won",
    "lost": "lost",
}
EXPIRED: Final = frozenset({"automatic", "expired"})  # The cancellation reasons that Stripe gives by itself.


def of_refund(refund: wire.Refund) -> ExternalRefund | None:
    """Return what a refund tells that has no key of ours: it was made in the dashboard, or by another program."""
    money = from_stripe(refund.amount, refund.currency)
    status = REFUND_STATUS.get(refund.status or "")
    if money is None or status is None:
        return None
    raw_code = refund.failure_reason or refund.status if status == "failed" else None
    code = decline_code(raw_code) if raw_code else None
    return ExternalRefund(refund.id, status, money.amount, money.currency, code, raw_code)


def of_dispute(dispute: wire.Dispute) -> Dispute | None:
    """Return what a dispute tells; None for an inquiry."""
    money = from_stripe(dispute.amount, dispute.currency)
    status = DISPUTE_STATUS.get(dispute.status)
    if money is None or status is None:
        return None
    return Dispute(dispute.id, status, money.amount, money.currency, dispute.reason)


def of_canceled(intent: wire.PaymentIntent) -> AuthorizationEnded:
    """Return what the cancellation of an authorized PaymentIntent tells: nothing is held any more."""
    return AuthorizationEnded("expired" if intent.cancellation_reason in EXPIRED else "canceled")
