"""The providers that are open in this process, one for each account in use.

A disabled account stays open, for the payments that were begun with it. An account is read again when its entry is five
seconds old, so that new credentials take effect in every process within that time. A provider that was replaced is
disconnected when the calls that use it have ended.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from paidonce.concurrency import ConcurrencyPerName
from paidonce.database.batcher import Batcher
from paidonce.errors import (
    EncryptionKeyMissing,
    PaidonceError,
    ProviderAccountNotFound,
    ProviderNotFound,
    RateLimited,
)
from paidonce.jobs.poller import Poller
from paidonce.merchants.model import Mode
from paidonce.provider_accounts.actions import ChooseAccount, choose_accounts, find_any_account, load_accounts
from paidonce.provider_accounts.choice import choose_able
from paidonce.provider_accounts.model import AccountName, ProviderAccount
from paidonce.provider_accounts.opening import AccountOpener, disconnect
from paidonce.providers.base import Provider, WantedCharge

log = structlog.get_logger()

AGE_SECONDS_MAX: Final = 5.0  # How long other credentials may be used in another process; the same as for API keys.
IDLE_SECONDS_MAX: Final = 600.0  # Credentials that nobody uses are not kept in memory.
CHECKS_PER_MERCHANT: Final = 4  # At once. Each is a call to a provider, which a client can cause.


class _Entry:
    """An open provider; None where the account cannot be opened."""

    __slots__ = ("provider", "used_at", "valid_until", "version")

    def __init__(self, provider: Provider | None, version: int, *, used_at: float) -> None:
        self.provider = provider
        self.version = version
        self.used_at = used_at
        self.valid_until = float("-inf")


class ProviderConnections:
    """The open providers of this process. ``monotonic`` returns the time in seconds.

    ``grace_seconds`` is how long a call to a provider can last.
    """

    def __init__(
        self, reader: Batcher, opener: AccountOpener, *, grace_seconds: float, monotonic: Callable[[], float]
    ) -> None:
        self.opener = opener
        self._reader = reader
        self._grace_seconds = grace_seconds
        self._monotonic = monotonic
        self._entries: dict[AccountName, _Entry] = {}
        self._refreshes: dict[AccountName, asyncio.Task[Provider | None]] = {}
        self._invalidated_at = float("-inf")
        self._owners: dict[str, str] = {}  # An account keeps its merchant.
        self._any_exist = False
        self._none_until = float("-inf")
        self._checks = ConcurrencyPerName(CHECKS_PER_MERCHANT)
        self._stopping = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()
        self._poller = Poller("provider_connections", self._sweep, poll_seconds=AGE_SECONDS_MAX)

    def start(self) -> None:
        """Begin to close the connections of accounts that are no longer used."""
        self._poller.start()

    async def stop(self) -> None:
        """Disconnect every provider. No call may be in flight."""
        self._stopping.set()
        await self._poller.stop()
        for refresh in self._refreshes.values():
            refresh.cancel()
        await asyncio.gather(*self._refreshes.values(), return_exceptions=True)
        for name in list(self._entries):
            self._close(name)
        await asyncio.gather(*self._closing)

    async def provider_of(self, merchant_id: str, account_id: str) -> Provider | None:
        """Return the open provider of an account; use it at once, and do not keep it.

        None where the merchant has no such account, or where it cannot be opened, which is logged. Whoever begins a
        payment must know from elsewhere that the account is active.
        Raises DatabaseUnavailable or Overloaded where the account cannot be read.
        """
        name = AccountName(account_id, merchant_id)
        now = self._monotonic()
        entry = self._entries.get(name)
        if entry is not None:
            entry.used_at = now
            if now < entry.valid_until:
                return entry.provider
        return await asyncio.shield(self._refresh(name))

    async def provider_of_any(self, account_id: str) -> Provider | None:
        """Return the open provider of an account, whosever it is: for a provider, which does not know the merchant."""
        owner = self._owners.get(account_id)
        if owner is None:
            try:
                account = await self.find(AccountName(account_id, None))
            except ProviderAccountNotFound:
                return None
            owner = self._owners[account_id] = account.merchant_id
        return await self.provider_of(owner, account_id)

    async def find(self, name: AccountName) -> ProviderAccount:
        """Read an account; raises ProviderAccountNotFound."""
        return await self._reader.submit(load_accounts, name)

    async def choose(
        self,
        charge: WantedCharge,
        merchant_id: str,
        mode: Mode,
        *,
        provider: str | None = None,
        account_ids: tuple[str, ...] = (),
    ) -> list[ProviderAccount]:
        """Choose the accounts that a payment may use, at least one, in the order in which they are tried: the named
        ones, else the merchant's active ones; of these, those that can take the charge. All have the mode of the
        checkout.

        Raises ProviderAccountNotFound, ProviderAccountDisabled, ProviderAccountWrongMode, CurrencyNotSupported,
        AmountNotSupported or PaymentMethodNotSupported.
        """
        request = ChooseAccount(merchant_id=merchant_id, mode=mode, provider=provider, account_ids=account_ids)
        accounts = await self._reader.submit(choose_accounts, request)
        able = choose_able(accounts, charge, self.opener.connectors)
        if isinstance(able, PaidonceError):
            raise able
        return able

    async def exist(self) -> bool:
        """Tell whether any merchant may have an account. An account of another process is noticed within five seconds.
        While a node of a distributed database is lost, any merchant may have one.
        """
        if self._any_exist:
            return True  # Accounts are never deleted.
        now = self._monotonic()
        if now >= self._none_until:
            found = await self._reader.submit(find_any_account, None)
            if found is None:
                return True
            self._any_exist = found
            if now > self._invalidated_at:
                self._none_until = now + AGE_SECONDS_MAX
        return self._any_exist

    async def check(self, account: ProviderAccount) -> list[str]:
        """Call the provider with the credentials of an account; returns what is wrong, a sentence each.

        Raises RateLimited, ProviderNotFound or EncryptionKeyMissing.
        """
        if not self._checks.enter(account.merchant_id):
            raise RateLimited(1.0, "Too many accounts of this merchant are being checked. The request had no effect.")
        try:
            return await self.opener.check(account)
        finally:
            self._checks.leave(account.merchant_id)

    def invalidate(self) -> None:
        """Read every account again before its next use, because this process has just changed one."""
        self._invalidated_at = self._monotonic()
        self._none_until = float("-inf")
        for entry in self._entries.values():
            entry.valid_until = float("-inf")
        self._poller.wake()

    def _refresh(self, name: AccountName) -> "asyncio.Task[Provider | None]":
        """Read an account again, once for all that wait for it."""
        refresh = self._refreshes.get(name)
        if refresh is None:
            refresh = self._refreshes[name] = asyncio.create_task(self._read(name))
            refresh.add_done_callback(lambda done: self._end_refresh(name, done))
        return refresh

    def _end_refresh(self, name: AccountName, done: "asyncio.Task[Provider | None]") -> None:
        del self._refreshes[name]
        if not done.cancelled():
            done.exception()  # Marks it as retrieved where nobody waits any more.

    async def _read(self, name: AccountName) -> Provider | None:
        read_at = self._monotonic()
        try:
            account = await self.find(name)
        except ProviderAccountNotFound:
            self._close(name)
            return None
        entry = self._entries.get(name)
        if entry is None or entry.provider is None or entry.version != account.version:
            self._close(name)
            entry = self._entries[name] = _Entry(self._open(account), account.version, used_at=read_at)
        if read_at > self._invalidated_at:
            entry.valid_until = read_at + AGE_SECONDS_MAX
        return entry.provider

    def _open(self, account: ProviderAccount) -> Provider | None:
        try:
            return self.opener.open(account)
        except (EncryptionKeyMissing, ProviderNotFound, ValueError) as error:
            log.error(
                "provider_account_not_opened",
                account_id=account.id,
                merchant_id=account.merchant_id,
                provider=account.provider,
                cause=str(error),
            )
            return None

    def _close(self, name: AccountName) -> None:
        """Remove an entry, and disconnect its provider when calls that use it have ended."""
        entry = self._entries.pop(name, None)
        if entry is not None and entry.provider is not None:
            closing = asyncio.create_task(self._disconnect_after_calls(entry.provider))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _disconnect_after_calls(self, provider: Provider) -> None:
        try:
            async with asyncio.timeout(self._grace_seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass
        await disconnect(provider)

    async def _sweep(self) -> float | None:
        """Close what is not used, and read again what may have changed."""
        now = self._monotonic()
        for name, entry in list(self._entries.items()):
            if now - entry.used_at > IDLE_SECONDS_MAX:
                self._close(name)
            elif now >= entry.valid_until:
                await asyncio.shield(self._refresh(name))
        return None
