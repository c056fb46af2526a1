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

    never_occurring: frozenset[str] = frozenset()
    """The faults that cannot occur with this provider."""
    webhook_seconds: float = 0.0
    """How long a webhook may come after the last fault that alone tells an outcome: its sender tries again so late."""

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


def _mollie_account(number: int, text: str) -> Account:
    key, secret = f"test_prove{number}{text}", f"secret{text}"
    return Account(credentials={"apiKey": key, "webhookSecret": secret}, credential=key, webhook_secret=secret)


def _paypal_account(number: int, text: str) -> Account:
    client_id, webhook_id = f"prove{number}{text}", f"WH{text}"
    # The double has one secret for all of its apps.
    credentials = {"clientId": client_id, "clientSecret": "double-secret-0000", "webhookId": webhook_id}
    return Account(credentials=credentials, credential=client_id, webhook_secret=webhook_id)


def _adyen_account(number: int, text: str) -> Account:
    key, hmac_key = f"AQE_prove{number}{text}", text * 2
    credentials = {"apiKey": key, "merchantAccount": "ShopECOM", "hmacKey": hmac_key}
    return Account(credentials=credentials, credential=key, webhook_secret=hmac_key)


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
MOLLIE: Final = Kit(
    name="mollie",
    title="Mollie",
    tokens={},
    pages=1,
    approvals=(
        ({"act": "pay"},),
        ({"act": "pay", "settlement": "later"},),
    ),
    declines=(
        ({"act": "cancel"},),
        ({"act": "fail", "reason": "insufficient_funds"},),
    ),
    account=_mollie_account,
    phases=5,
)
PAYPAL: Final = Kit(
    name="paypal",
    title="PayPal",
    tokens={},
    pages=1,
    approvals=(
        ({"act": "approve"},),
        ({"act": "approve"},),
        ({"act": "approve", "funding": "pending"},),
        ({"act": "approve", "funding": "capture_pending"},),
        ({"act": "approve", "funding": "refund_pending"},),
        ({"act": "approve", "funding": "dropped_after_charge"},),
        ({"act": "approve", "funding": "error_after_charge"},),
        ({"act": "approve", "funding": "silent_after_charge"},),
        ({"act": "approve", "funding": "error_before_charge"},),
    ),
    declines=(
        ({"act": "cancel"},),
        ({"act": "approve", "funding": "instrument_declined"},),
        ({"act": "approve", "funding": "payer_cannot_pay"},),
        ({"act": "approve", "funding": "asks_again"},),
    ),
    account=_paypal_account,
    phases=7,  # To open, to charge, to close; and to look up the order and its payments.
)
ADYEN: Final = Kit(
    name="adyen",
    title="Adyen",
    tokens={
        "spm_APPROVED_shopper": 20,
        "spm_REFUSED_shopper": 3,
        "spm_RECEIVED_shopper": 2,
        "spm_PENDING_shopper": 2,
        "spm_PENDINGREFUSED_shopper": 2,
        "spm_ERRORBEFORE_shopper": 2,
        "spm_ERRORAFTER_shopper": 2,
        "spm_ERRORSTORED_shopper": 2,
        "spm_DROPPEDAFTER_shopper": 2,
        "spm_SILENTAFTER_shopper": 2,
    },
    pages=40,
    approvals=(
        ({"act": "pay", "method": "approved"},),
        ({"act": "pay", "method": "3ds"}, {"act": "approve"}),
    ),
    declines=(
        ({"act": "cancel"},),
        ({"act": "pay", "method": "refused"},),
        ({"act": "pay", "method": "3ds"}, {"act": "refuse"}),
    ),
    account=_adyen_account,
    phases=5,
    never_occurring=frozenset({"webhook_never"}),  # Adyen sends webhooks until they are accepted.
    webhook_seconds=35.0,
)
KITS: Final = {kit.name: kit for kit in (SIMULATOR, STRIPE, MOLLIE, PAYPAL, ADYEN)}
