"""What can be done about a payment now, and why not."""

from typing import Final

import msgspec

from paidonce.checkouts.model import PAYABLE, Checkout, CheckoutStatus
from paidonce.clock import Instant
from paidonce.dashboard.payments.texts import amount_text, in_words, plain_amount
from paidonce.users.model import Role

IN_PROGRESS: Final = "It waits for the provider. Only the provider's confirmation ends that."


class Step(msgspec.Struct, frozen=True):
    """A step that people can take. ``why_not`` says why it is not possible now; empty where it is.

    ``most`` is the largest amount of it, written for people, and ``amount`` the same as a form holds it.
    """

    why_not: str
    most: str = ""
    amount: str = ""

    @property
    def is_possible(self) -> bool:
        """Whether it can be done now."""
        return not self.why_not


def capture_of(checkout: Checkout, role: Role, now: Instant) -> Step:
    """Tell whether an authorized amount can be captured."""
    return Step(
        _refused_to(role) or _why_no_capture(checkout, now),
        amount_text(checkout.amount, checkout.currency),
        plain_amount(checkout.amount, checkout.currency),
    )


def cancel_of(checkout: Checkout, role: Role) -> Step:
    """Tell whether a payment can be canceled, or its authorization voided."""
    return Step(_refused_to(role) or _why_no_cancel(checkout))


def refund_of(checkout: Checkout, role: Role) -> Step:
    """Tell whether something can be refunded, and how much."""
    return Step(
        _refused_to(role) or _why_no_refund(checkout),
        amount_text(checkout.refundable, checkout.currency),
        plain_amount(checkout.refundable, checkout.currency),
    )


def _refused_to(role: Role) -> str:
    return "" if role.includes(Role.REFUNDS) else f"Your role, {role.value}, may only look."


def _why_no_capture(checkout: Checkout, now: Instant) -> str:
    if checkout.status == CheckoutStatus.PROCESSING:
        return IN_PROGRESS
    if checkout.status == CheckoutStatus.COMPLETED:
        return "It is captured already."
    if checkout.status != CheckoutStatus.AUTHORIZED:
        return f"Nothing is authorized: the payment is {in_words(checkout.status)}."
    if checkout.attempt is not None and not checkout.attempt.ended:
        return "The authorization is being voided."
    return "" if checkout.expires_at > now else "The authorization has expired."


def _why_no_cancel(checkout: Checkout) -> str:
    if checkout.status in PAYABLE or checkout.awaits_buyer:
        return ""
    if checkout.status == CheckoutStatus.PROCESSING:
        return IN_PROGRESS
    if checkout.status == CheckoutStatus.COMPLETED:
        return "It is paid. Refund it instead."
    if checkout.status != CheckoutStatus.AUTHORIZED:
        return f"It is {in_words(checkout.status)} already."
    return "" if checkout.attempt is None or checkout.attempt.ended else "The authorization is being voided."


def _why_no_refund(checkout: Checkout) -> str:
    if checkout.status != CheckoutStatus.COMPLETED:
        return f"Nothing was captured: the payment is {in_words(checkout.status)}."
    if checkout.refundable:
        return ""
    if checkout.amount_disputed:
        return "What is left is disputed: the buyer's bank takes it back, and a refund would return it twice."
    return "Everything is refunded." if not checkout.amount_refund_pending else "The rest is being refunded."
