"""Use cases for provider accounts. Each is one function over a batch."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from paidonce.clock import Instant
from paidonce.database.transaction import Transaction
from paidonce.errors import (
    PaidonceError,
    ProviderAccountDisabled,
    ProviderAccountNotFound,
    ProviderAccountWrongMode,
)
from paidonce.events.model import Cause, EventType, NewEvent, Origin
from paidonce.merchants.model import Mode
from paidonce.merchants.scoping import error_of_missing
from paidonce.provider_accounts import store
from paidonce.provider_accounts.model import ALLOWED, POSITION_MAX, AccountName, AccountStatus, ProviderAccount
from paidonce.provider_accounts.store import AccountFilter, Preference


class CreateAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a new account; its credentials are encrypted."""

    id: str
    merchant_id: str
    provider: str
    mode: Mode
    name: str
    credentials: str
    hints: str
    origin: Origin = Origin()
    cause: Cause = Cause.REQUEST


def create_accounts(transaction: Transaction, requests: Sequence[CreateAccount]) -> list[ProviderAccount]:
    """Create accounts. Each comes last in the order of preference."""
    names = [AccountName(one.id, one.merchant_id) for one in requests]
    existing = store.read_accounts(transaction, names)  # From a commit of ours whose result was lost.
    positions = store.read_last_positions(transaction, sorted({one.merchant_id for one in requests}))
    new: list[ProviderAccount] = []
    for name, request in zip(names, requests, strict=True):
        if name not in existing:
            positions[request.merchant_id] = positions.get(request.merchant_id, 0) + 1
            account = _new_account(request, positions[request.merchant_id], transaction.now)
            existing[name] = account
            new.append(account)
            transaction.events.append(_event(EventType.PROVIDER_ACCOUNT_CREATED, account, request))
    store.insert_accounts(transaction, new)
    return [existing[name] for name in names]


def _new_account(request: CreateAccount, position: int, now: Instant) -> ProviderAccount:
    return ProviderAccount(
        id=request.id,
        merchant_id=request.merchant_id,
        provider=request.provider,
        mode=request.mode.value,
        name=request.name,
        status=AccountStatus.ACTIVE.value,
        credentials=request.credentials,
        hints=request.hints,
        position=position,
        version=0,
        created_at=now,
        updated_at=now,
        disabled_at=None,
    )


class ChangeAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A request to change an account; what is UNSET stays. ``credentials`` are encrypted, and come with ``hints``."""

    name: AccountName
    credentials: str | msgspec.UnsetType = msgspec.UNSET
    hints: str | msgspec.UnsetType = msgspec.UNSET
    status: AccountStatus | msgspec.UnsetType = msgspec.UNSET
    position: int | msgspec.UnsetType = msgspec.UNSET
    origin: Origin = Origin()
    cause: Cause = Cause.REQUEST


LoadOutcome: TypeAlias = ProviderAccount | ProviderAccountNotFound


def change_accounts(transaction: Transaction, requests: Sequence[ChangeAccount]) -> list[LoadOutcome]:
    """Change accounts, and append an event for each thing that changed."""
    # One by one: two requests of a batch may concern the same account, and each sees what the one before has made.
    return [_change(transaction, request) for request in requests]


def _change(transaction: Transaction, request: ChangeAccount) -> LoadOutcome:
    seen = store.read_accounts(transaction, [request.name]).get(request.name)
    if seen is None:
        return ProviderAccountNotFound()
    wanted = _changed(seen, request, transaction.now)
    if wanted == seen:
        return seen
    wanted = msgspec.structs.replace(wanted, updated_at=transaction.now)
    if not store.change_accounts(transaction, [wanted]):
        return _change(transaction, request)  # Another process has changed it meanwhile: start over.
    transaction.events += [_event(kind, wanted, request) for kind in _event_types(seen, wanted)]
    return msgspec.structs.replace(wanted, version=seen.version + 1)


def _changed(seen: ProviderAccount, request: ChangeAccount, now: Instant) -> ProviderAccount:
    changes: dict[str, Any] = {
        name: value
        for name, value in (
            ("credentials", request.credentials),
            ("hints", request.hints),
            ("position", request.position),
        )
        if value is not msgspec.UNSET
    }
    if isinstance(request.status, AccountStatus) and request.status in ALLOWED[AccountStatus(seen.status)]:
        disabled_at = now if request.status is AccountStatus.DISABLED else None
        changes |= {"status": request.status.value, "disabled_at": disabled_at}
    return msgspec.structs.replace(seen, **changes)


class PreferAccounts(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's request to make accounts the first in their merchant's order of preference, in this order."""

    account_ids: tuple[str, ...]
    cause: Cause


PreferOutcome: TypeAlias = list[ProviderAccount] | ProviderAccountNotFound | ProviderAccountWrongMode


def prefer_accounts(transaction: Transaction, requests: Sequence[PreferAccounts]) -> list[PreferOutcome]:
    """Number the accounts of merchants anew; the others keep their order behind those that are named."""
    return [_prefer(transaction, request) for request in requests]


def _prefer(transaction: Transaction, request: PreferAccounts) -> PreferOutcome:
    found = store.read_accounts(transaction, [AccountName(one, None) for one in request.account_ids])
    named = list(dict.fromkeys(found.values()))
    if len(found) < len(set(request.account_ids)) or len({one.merchant_id for one in named}) > 1:
        return ProviderAccountNotFound("There is no provider account with this id, or they are of several merchants.")
    first = named[0]
    if any(account.mode != first.mode for account in named):
        return ProviderAccountWrongMode(first.mode)
    everything = AccountFilter(limit=POSITION_MAX, merchant_id=first.merchant_id, mode=Mode(first.mode))
    others = [one for one in store.read_page(transaction, everything)[0] if one not in named]
    order = [*named, *sorted(others, key=lambda one: (one.position, one.id))]
    moved = [
        _change(transaction, ChangeAccount(name=AccountName(one.id, None), position=position, cause=request.cause))
        for position, one in enumerate(order, start=1)
    ]
    return [one for one in moved[: len(named)] if isinstance(one, ProviderAccount)]


def _event_types(seen: ProviderAccount, wanted: ProviderAccount) -> list[EventType]:
    kinds = []
    if wanted.credentials != seen.credentials:
        kinds.append(EventType.PROVIDER_ACCOUNT_ROTATED)
    if wanted.position != seen.position:
        kinds.append(EventType.PROVIDER_ACCOUNT_MOVED)
    if wanted.status != seen.status:
        is_active = wanted.is_active
        kinds.append(EventType.PROVIDER_ACCOUNT_ENABLED if is_active else EventType.PROVIDER_ACCOUNT_DISABLED)
    return kinds


def _event(kind: EventType, account: ProviderAccount, request: CreateAccount | ChangeAccount) -> NewEvent:
    return NewEvent(
        type=kind,
        cause=request.cause,
        merchant_id=account.merchant_id,
        mode=account.mode,
        origin=request.origin,
        detail={"accountId": account.id, "provider": account.provider, "mode": account.mode},
    )


def load_accounts(transaction: Transaction, names: Sequence[AccountName]) -> list[ProviderAccount | PaidonceError]:
    """Load accounts by id."""
    found = store.find_accounts(transaction, names)
    return [found.get(one) or error_of_missing(transaction, one, ProviderAccountNotFound()) for one in names]


def list_accounts(
    transaction: Transaction, requests: Sequence[AccountFilter]
) -> list[tuple[list[ProviderAccount], bool]]:
    """Load pages of accounts, newest first, and whether more follow."""
    return [store.read_page(transaction, request) for request in requests]


def find_any_account(transaction: Transaction, requests: Sequence[None]) -> list[bool | None]:
    """Tell whether there is any account; None while a node that does not respond may store the only one."""
    exists = None if transaction.is_partial else store.any_exists(transaction)
    return [exists for _ in requests]


class ChooseAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A request for the accounts that a payment may use: those with ``account_ids``, else the merchant's active ones.

    They must have the ``mode`` of the checkout. ``provider`` restricts the choice to one provider.
    """

    merchant_id: str
    mode: Mode
    provider: str | None = None
    account_ids: tuple[str, ...] = ()


ChooseOutcome: TypeAlias = (
    list[ProviderAccount] | ProviderAccountNotFound | ProviderAccountDisabled | ProviderAccountWrongMode
)


def choose_accounts(transaction: Transaction, requests: Sequence[ChooseAccount]) -> list[ChooseOutcome]:
    """Choose the accounts that payments may use, at least one for each, in the order in which they are tried.

    Accounts that are named come in the order in which they are named. All of them must exist in the mode; those that
    are disabled are left out.
    """
    named = store.read_accounts(
        transaction,
        {AccountName(account_id, one.merchant_id) for one in requests for account_id in one.account_ids},
    )
    preferred = store.read_preferred(
        transaction, [_preference(request) for request in requests if not request.account_ids]
    )
    return [
        _named(request, [named.get(AccountName(one, request.merchant_id)) for one in request.account_ids])
        if request.account_ids
        else _preferred(request, preferred.get(_preference(request), []))
        for request in requests
    ]


def _preference(request: ChooseAccount) -> Preference:
    return Preference(request.merchant_id, request.mode.value, request.provider)


def _preferred(request: ChooseAccount, accounts: list[ProviderAccount]) -> ChooseOutcome:
    if accounts:
        return accounts
    provider = "" if request.provider is None else f" with the provider {request.provider}"
    return ProviderAccountNotFound(f"The merchant has no active {request.mode} account{provider}.")


def _named(request: ChooseAccount, accounts: Sequence[ProviderAccount | None]) -> ChooseOutcome:
    found = [account for account in accounts if account is not None]
    if len(found) < len(accounts):
        return ProviderAccountNotFound()
    if any(request.provider not in (None, account.provider) for account in found):
        return ProviderAccountNotFound(f"This account is not with the provider {request.provider}.")
    if any(account.mode != request.mode for account in found):
        return ProviderAccountWrongMode(request.mode)
    return [account for account in found if account.is_active] or ProviderAccountDisabled()
