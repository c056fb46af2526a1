"""The payment methods that a buyer can choose from."""

from typing import Final

import msgspec

from paidonce.buyer_pages.texts import mark
from paidonce.checkouts.model import Checkout
from paidonce.errors import AmountNotSupported, CurrencyNotSupported, PaymentMethodNotSupported
from paidonce.payments.providers import DEFAULT_PROVIDER, PaymentProviders, WantedRoute
from paidonce.providers.base import HOSTED_PAGE

CARDS: Final = mark("Card and other payment methods")


class Method(msgspec.Struct, frozen=True):
    """A way to pay. ``name`` is its value in the form, ``wanted`` where a payment with it goes, and how.

    A ``label`` that ``is_brand`` is not translated.
    """

    name: str
    label: str
    wanted: WantedRoute
    is_brand: bool = False


def _simulated(token: str, label: str) -> Method:
    return Method(token, label, WantedRoute(provider=DEFAULT_PROVIDER, payment_method=token))


# At the simulator, in test mode alone. Its other test payment methods are for calls of the API.
TEST_METHODS: Final = (
    _simulated("tok_success", mark("Test: succeeds")),
    _simulated("tok_redirect", mark("Test: approve or decline on another page")),
    _simulated("tok_3ds", mark("Test: 3-D Secure")),
    _simulated("tok_declined_insufficient_funds", mark("Test: declined, not enough money")),
    _simulated("tok_declined_lost_or_stolen_card", mark("Test: declined, reported as lost or stolen")),
    _simulated("tok_timeout_then_success", mark("Test: the bank answers late, then succeeds")),
    _simulated("tok_timeout_then_decline", mark("Test: the bank answers late, then declines")),
    _simulated("tok_accepted", mark("Test: accepted first, succeeds later")),
)


async def methods_for(providers: PaymentProviders, checkout: Checkout) -> tuple[Method, ...]:
    """Return the methods that the merchant's accounts offer for a checkout; none where no account can take it."""
    try:
        offer = await providers.offer(checkout)
    except (CurrencyNotSupported, AmountNotSupported, PaymentMethodNotSupported):
        return ()
    if offer.is_simulated:
        return TEST_METHODS
    return tuple(
        Method(
            wallet or HOSTED_PAGE,
            wallet or CARDS,
            WantedRoute(account_ids=accounts, payment_method=HOSTED_PAGE),
            is_brand=bool(wallet),
        )
        for wallet, accounts in offer.accounts.items()
    )
