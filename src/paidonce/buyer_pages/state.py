"""Where a checkout stands, as its buyer sees it."""

from enum import StrEnum
from typing import Final

from paidonce.checkouts.model import ATTEMPTS_MAX, PAYABLE, Checkout, CheckoutStatus
from paidonce.clock import Instant
from paidonce.payments.model import AttemptKind, AttemptStatus
from paidonce.providers.evidence import Redirect, decode_action

UNCONFIRMED: Final = frozenset({AttemptStatus.UNKNOWN, AttemptStatus.ACCEPTED, AttemptStatus.NEEDS_REVIEW})
PAID: Final = frozenset({CheckoutStatus.COMPLETED, CheckoutStatus.AUTHORIZED})


class BuyerState(StrEnum):
    """What the page of a checkout shows. Each has a template of its name."""

    PAYABLE = "payable"  # The form.
    EXHAUSTED = "exhausted"  # Declined too often.
    WAITING = "waiting"  # The provider is asked.
    ACTION = "action"  # The buyer has not finished on the provider's page.
    IN_SHOP = "in_shop"  # The buyer pays in fields on the shop's own page.
    PAID = "paid"
    CANCELED = "canceled"
    EXPIRED = "expired"


ENDED: Final = frozenset({BuyerState.PAID, BuyerState.CANCELED, BuyerState.EXPIRED})
UNPAID: Final = frozenset({BuyerState.PAYABLE, BuyerState.EXHAUSTED, BuyerState.CANCELED, BuyerState.EXPIRED})


def state_of(checkout: Checkout, now: Instant) -> BuyerState:
    """Tell where a checkout stands."""
    status, attempt = CheckoutStatus(checkout.status), checkout.attempt
    if status in PAYABLE:
        if checkout.expires_at <= now:
            return BuyerState.EXPIRED
        return BuyerState.PAYABLE if checkout.attempt_count < ATTEMPTS_MAX else BuyerState.EXHAUSTED
    if status is CheckoutStatus.PROCESSING:
        assert attempt is not None, "a checkout in PROCESSING has an attempt"
        if attempt.kind == AttemptKind.CAPTURE:
            return BuyerState.PAID  # The buyer has done all that they can.
        if attempt.action is None or attempt.close_reason is not None:
            return BuyerState.WAITING
        return BuyerState.ACTION if isinstance(decode_action(attempt.action), Redirect) else BuyerState.IN_SHOP
    if status in PAID:
        return BuyerState.PAID
    return BuyerState.CANCELED if status is CheckoutStatus.CANCELED else BuyerState.EXPIRED


def provider_url(checkout: Checkout) -> str | None:
    """Return the provider's page on which the buyer must act; None where there is none."""
    if not checkout.awaits_buyer or checkout.attempt is None or checkout.attempt.action is None:
        return None
    action = decode_action(checkout.attempt.action)
    return action.url if isinstance(action, Redirect) and is_web_address(action.url) else None


def is_web_address(url: str | None) -> bool:
    """Tell whether a page may lead to a URL. Those that are stored were checked; a page does not rely on that alone."""
    return url is not None and url.lower().startswith(("https://", "http://"))


def is_unconfirmed(checkout: Checkout) -> bool:
    """Tell whether the outcome of the payment under way is not known, rather than about to be."""
    return checkout.attempt is not None and checkout.attempt.status in UNCONFIRMED


def shown_state(checkout: Checkout, now: Instant) -> str:
    """Name everything that the page shows: another name means that the page is out of date."""
    confirmed = "unconfirmed" if is_unconfirmed(checkout) else "confirmed"
    return f"{state_of(checkout, now)}.{checkout.attempt_count}.{confirmed}"
