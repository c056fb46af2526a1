"""The providers that payments are sent to: those that are built in, and those that merchants have accounts with."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from paidonce.checkouts.model import Checkout, ProviderRoute
from paidonce.errors import ProviderAccountDisabled, ProviderAccountNotFound
from paidonce.merchants.model import Mode
from paidonce.money import Money
from paidonce.payments.model import Attempt
from paidonce.provider_accounts.connections import ProviderConnections
from paidonce.provider_accounts.model import ProviderAccount
from paidonce.providers.base import HOSTED_PAGE, Provider, WantedCharge

DEFAULT_PROVIDER: Final = "simulator"
DEFAULT_PAYMENT_METHOD: Final = "tok_success"  # At the simulator. At other providers the buyer pays on their page.


ACCOUNTS_MAX: Final = 5  # Of one payment: a buyer waits while one after the other is tried.

LoadCheckout: TypeAlias = Callable[[], Awaitable[Checkout]]
"""Reads the checkout that is paid. It is read only where accounts matter."""


class WantedRoute(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says about where a payment is sent: a provider, accounts, both or nothing. Without a
    ``payment_method`` the buyer pays as ``default_payment_method`` says.
    """

    provider: str | None = None
    account_ids: tuple[str, ...] = ()
    payment_method: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether the merchant's own order of preference decides."""
        return self.provider is None and not self.account_ids


class Chosen(msgspec.Struct, frozen=True):
    """Where a payment is sent, the provider, and the mode of the checkouts that may be paid there.

    ``fallbacks`` are where it is sent, in this order, if it is proven not to have begun.
    """

    route: ProviderRoute
    provider: Provider
    mode: Mode
    fallbacks: tuple["Chosen", ...] = ()


class Offer(msgspec.Struct, frozen=True):
    """How a buyer can pay. ``accounts`` are the ids of accounts by the wallet that their page takes, empty for cards
    and all else. ``is_simulated``: there are none, and the simulator takes the payment.
    """

    accounts: Mapping[str, tuple[str, ...]]
    is_simulated: bool = False


class PaymentProviders:
    """Finds providers by route. ``built_in`` are those without accounts; ``accounts`` is None where there are none."""

    def __init__(self, built_in: Mapping[str, Provider], accounts: ProviderConnections | None = None) -> None:
        self._built_in = built_in
        self._accounts = accounts

    def built_in(self, name: str) -> Provider | None:
        """Return a provider without accounts."""
        return self._built_in.get(name)

    async def of_account(self, account_id: str) -> Provider | None:
        """Return the provider of an account; None where there is none, or it cannot be opened."""
        return None if self._accounts is None else await self._accounts.provider_of_any(account_id)

    @property
    def names(self) -> list[str]:
        """The names of all providers."""
        others = [] if self._accounts is None else self._accounts.opener.connectors
        return sorted({*self._built_in, *others})

    async def find(self, attempt: Attempt) -> Provider | None:
        """Return the provider of an attempt; None where its account cannot be opened."""
        if attempt.account_id is None:
            return self._built_in.get(attempt.provider)
        assert self._accounts is not None, "an attempt with an account was made where there are accounts"
        return await self._accounts.provider_of(attempt.merchant_id, attempt.account_id)

    async def choose(self, load_checkout: LoadCheckout, mode: Mode | None, wanted: WantedRoute) -> Chosen:
        """Choose where a payment is sent: to the first that can take it of the named accounts, else of the merchant's
        active accounts in the mode of the checkout; in test mode to the simulator where there are none. The other
        accounts that can take it are the fallbacks, at most ACCOUNTS_MAX with the first.

        ``mode`` is that of the caller's API key. Without one, and where no account matters, the simulator is chosen
        without a look at the checkout; the transaction that starts the payment refuses a live one. ``wanted.provider``
        is None or one of ``names``. Raises what ProviderConnections.choose raises.
        """
        if not wanted.account_ids and wanted.provider is not None and wanted.provider in self._built_in:
            return self._built_in_choice(wanted.provider, mode)
        if self._accounts is None or (wanted.is_open and not await self._accounts.exist()):
            return self._built_in_choice(DEFAULT_PROVIDER, mode)
        checkout = await load_checkout()
        try:
            accounts = await self._accounts.choose(
                _wanted_charge(checkout, wanted.payment_method or HOSTED_PAGE),
                checkout.merchant_id,
                Mode(checkout.mode),
                provider=wanted.provider,
                account_ids=wanted.account_ids,
            )
        except ProviderAccountNotFound:
            if not wanted.is_open:
                raise
            return self._built_in_choice(DEFAULT_PROVIDER, Mode(checkout.mode))
        chosen: list[Chosen] = []
        for account in accounts:
            opened = await self._accounts.provider_of(checkout.merchant_id, account.id)
            if opened is not None:
                chosen.append(Chosen(ProviderRoute(account.provider, account.id), opened, Mode(account.mode)))
            if len(chosen) == ACCOUNTS_MAX:
                break
        if not chosen:
            raise ProviderAccountDisabled
        return msgspec.structs.replace(chosen[0], fallbacks=tuple(chosen[1:]))

    async def offer(self, checkout: Checkout) -> "Offer":
        """Tell how a buyer can pay a checkout on providers' pages, as ``choose`` would have it.

        Raises CurrencyNotSupported, AmountNotSupported or PaymentMethodNotSupported.
        """
        mode = Mode(checkout.mode)
        if self._accounts is not None and await self._accounts.exist():
            try:
                able = await self._accounts.choose(_wanted_charge(checkout, HOSTED_PAGE), checkout.merchant_id, mode)
            except ProviderAccountNotFound:
                pass
            else:
                return Offer(self._by_wallet(able))
        return Offer({}, is_simulated=mode is Mode.TEST)

    def _by_wallet(self, accounts: Sequence[ProviderAccount]) -> dict[str, tuple[str, ...]]:
        assert self._accounts is not None, "there are accounts"
        found: dict[str, tuple[str, ...]] = {}
        for account in accounts:
            connector = self._accounts.opener.connectors.get(account.provider)
            if connector is not None:
                found[connector.wallet] = (*found.get(connector.wallet, ()), account.id)
        return found

    def _built_in_choice(self, provider: str, mode: Mode | None) -> Chosen:
        """Refuse the simulator in live mode: no purchase is completed there without money."""
        if mode is Mode.LIVE:
            raise ProviderAccountNotFound("The merchant has no active live account with a provider.")
        return Chosen(ProviderRoute(provider), self._built_in[provider], Mode.TEST)


def default_payment_method(route: ProviderRoute) -> str:
    """Return how a buyer pays where the request does not say."""
    return DEFAULT_PAYMENT_METHOD if route.provider == DEFAULT_PROVIDER else HOSTED_PAGE


def _wanted_charge(checkout: Checkout, payment_method: str) -> WantedCharge:
    return WantedCharge(
        money=Money(checkout.amount, checkout.currency),
        payment_method=payment_method,
        capture=checkout.capture_method != "manual",
    )
