"""What a proof knows of each provider: what buyers pay with, what they submit on its pages, and its accounts."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import msgspec

Form: TypeAlias = Mapping[str, str]
Steps: TypeAlias = tuple[Form, ...]
"""The forms that a buyer submits: one on the page of the session, the next on the page that it leads to, and so on."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A merchant's account. ``credential`` is what the double knows it by, and ``webhook_secret`` what signs for it."""

    credentials: Mapping[str, str]
    credential: str
    webhook_secret: str


class Kit(msgspec.Struct, frozen=True, kw_only=True):
    """A provider. ``tokens`` are the payment methods that need no page, with weights.

    ``approvals`` and ``declines`` are what buyers submit on its pages. ``account`` returns the account of a merchant,
    given the merchant's number and a random text.
    """

    name: str
    title: str
    tokens: Mapping[str, int]
    pages: int = 0
    """The weight of payments on the provider's page."""
    approvals: tuple[Steps, ...] = ()
    declines: tuple[Steps, ...] = ()
    account: Callable[[int, str], Account] | None = None
    """None for the simulator, which needs no account."""
    phases: int = 2
    """How many calls and look-ups one payment makes that each may fail several times."""

    @property
    def url_setting(self) -> str:
        """The setting that leads the service to the double."""
        return f"PAIDONCE_{self.name.upper()}_URL"

    @property
    def has_pages(self) -> bool:
        """Whether buyers pay on pages."""
        return self.pages > 0


def _stripe_account(number: int, text: str) -> Account:
    key, secret = f"sk_test_prove{number}{text}", f"whsec_{text}"
    return Account(credentials={"secretKey": key, "webhookSecret": secret}, credential=key, webhook_secret=secret)


# The simulator adds its own faults to all of them, from its seed.
SIMULATOR: Final = Kit(
    name="simulator",
    title="the simulator",
    tokens={
        "tok_success": 40,
        "tok_declined_insufficient_funds": 6,
        "tok_timeout_then_success": 3,
        "tok_timeout_then_decline": 2,
        "tok_error_then_success": 6,
        "tok_error_after_charge": 6,
        "tok_unknown_then_success": 3,
        "tok_webhook_first": 4,
        "tok_webhook_twice": 4,
        "tok_webhook_never": 4,
        "tok_delay_300": 4,
    },
)
STRIPE: Final = Kit(
    name="stripe",
    title="Stripe",
    tokens={
        "pm_card_visa": 20,
        "pm_card_chargeDeclinedInsufficientFunds": 3,
        "pm_double_dropped_after_charge": 2,
        "pm_double_error_after_charge": 2,
        "pm_double_silent_after_charge": 2,
    },
    pages=40,
    approvals=(
        ({"act": "pay", "method": "pm_card_visa"},),
        ({"act": "pay", "method": "pm_card_threeDSecure2Required"}, {"act": "approve"}),
    ),
    declines=(
        ({"act": "cancel"},),
        ({"act": "pay", "method": "pm_card_chargeDeclinedExpiredCard"},),
        ({"act": "pay", "method": "pm_card_threeDSecure2Required"}, {"act": "refuse"}),
    ),
    account=_stripe_account,
    phases=5,  # To open, to charge, to close; and to look up the session and its PaymentIntent.
)
KITS: Final = {kit.name: kit for kit in (SIMULATOR, STRIPE)}
