"""Use cases for provider accounts. Each is one function over a batch."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from paidonce.clock import Instant
from paidonce.database.transaction import Transaction
from paidonce.errors import ProviderAccountDisabled, ProviderAccountNotFound, ProviderAccountWrongMode
from paidonce.events.model import Cause, EventType, NewEvent, Origin
from paidonce.merchants.model import Mode
from paidonce.provider_accounts import store
from paidonce.provider_accounts.model import ALLOWED, AccountName, AccountStatus, ProviderAccount
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
        origin=request.origin,
        detail={"accountId": account.id, "provider": account.provider, "mode": account.mode},
    )


def load_accounts(transaction: Transaction, names: Sequence[AccountName]) -> list[LoadOutcome]:
    """Load accounts by id."""
    found = store.read_accounts(transaction, names)
    return [found.get(name) or ProviderAccountNotFound() for name in names]


def list_accounts(
    transaction: Transaction, requests: Sequence[AccountFilter]
) -> list[tuple[list[ProviderAccount], bool]]:
    """Load pages of accounts, newest first, and whether more follow."""
    return [store.read_page(transaction, request) for request in requests]


def find_any_account(transaction: Transaction, requests: Sequence[None]) -> list[bool]:
    """Tell whether there is any account."""
    exists = store.any_exists(transaction)
    return [exists for _ in requests]


class ChooseAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A request for the account of a payment: the one with ``account_id``, else the merchant's first active one in the
    mode. ``provider`` restricts the choice to one provider.
    """

    merchant_id: str
    mode: Mode | None
    provider: str | None = None
    account_id: str | None = None


ChooseOutcome: TypeAlias = (
    ProviderAccount | ProviderAccountNotFound | ProviderAccountDisabled | ProviderAccountWrongMode
)


def choose_accounts(transaction: Transaction, requests: Sequence[ChooseAccount]) -> list[ChooseOutcome]:
    """Choose the accounts of payments."""
    named = store.read_accounts(
        transaction, [AccountName(one.account_id, one.merchant_id) for one in requests if one.account_id is not None]
    )
    preferred = store.read_preferred(
        transaction, [_preference(request) for request in requests if request.account_id is None]
    )
    return [
        _preferred(request, preferred.get(_preference(request)))
        if request.account_id is None
        else _named(request, named.get(AccountName(request.account_id, request.merchant_id)))
        for request in requests
    ]


def _preference(request: ChooseAccount) -> Preference:
    return Preference(request.merchant_id, (request.mode or Mode.TEST).value, request.provider)


def _preferred(request: ChooseAccount, account: ProviderAccount | None) -> ChooseOutcome:
    if account is not None:
        return account
    provider = "" if request.provider is None else f" with the provider {request.provider}"
    return ProviderAccountNotFound(f"The merchant has no active {request.mode or Mode.TEST} account{provider}.")


def _named(request: ChooseAccount, account: ProviderAccount | None) -> ChooseOutcome:
    if account is None:
        return ProviderAccountNotFound()
    if request.provider not in (None, account.provider):
        return ProviderAccountNotFound(f"This account is not with the provider {request.provider}.")
    if request.mode is not None and account.mode != request.mode:
        return ProviderAccountWrongMode(request.mode)
    return account if account.is_active else ProviderAccountDisabled()
