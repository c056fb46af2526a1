"""Use cases for merchants and API keys: create, list, rotate, revoke, and look up by hash."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from paidonce.database.transaction import Transaction
from paidonce.errors import KeyNotActive, KeyNotFound, MerchantNotFound
from paidonce.merchants import store
from paidonce.merchants.model import OPERATOR, ApiKey, Caller, KeyStatus, Merchant, Mode, Scope, TenantFilter
from paidonce.merchants.secret import hash_secret, make_secret, shorten_secret
from paidonce.merchants.store import KeyEnd, KeyFilter


class CreatedMerchant(msgspec.Struct, frozen=True):
    """A merchant, and whether this request created it."""

    merchant: Merchant
    is_new: bool


def create_merchants(transaction: Transaction, merchant_ids: Sequence[str]) -> list[CreatedMerchant]:
    """Create merchants. One that exists is not changed."""
    made = store.insert_merchants(transaction, set(merchant_ids))
    found = store.read_merchants(transaction, set(merchant_ids))
    return [CreatedMerchant(found[one], one in made) for one in merchant_ids]


def load_merchants(transaction: Transaction, merchant_ids: Sequence[str]) -> list[Merchant | MerchantNotFound]:
    """Read merchants by id."""
    found = store.read_merchants(transaction, set(merchant_ids))
    return [found.get(one) or MerchantNotFound() for one in merchant_ids]


class MerchantFilter(msgspec.Struct, frozen=True):
    """Which merchants a page holds: those whose ids begin with ``prefix`` and follow ``starting_after``, in the order
    of ids.
    """

    limit: int
    starting_after: str = ""
    prefix: str = ""


def list_merchants(transaction: Transaction, requests: Sequence[MerchantFilter]) -> list[tuple[list[Merchant], bool]]:
    """Read pages of merchants, and whether each has a next page."""
    return [
        store.read_merchant_page(transaction, after=one.starting_after, prefix=one.prefix, limit=one.limit)
        for one in requests
    ]


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A request to create an API key, with its id and the random characters of its secret."""

    id: str
    random_part: str
    merchant_id: str
    mode: Mode
    scopes: frozenset[Scope]


class IssuedKey(msgspec.Struct, frozen=True):
    """A new API key with its secret, which is not stored."""

    key: ApiKey
    secret: str


def create_keys(transaction: Transaction, requests: Sequence[NewKey]) -> list[IssuedKey | MerchantNotFound]:
    """Create API keys for existing merchants, and for the operator."""
    known = store.read_merchants(transaction, {one.merchant_id for one in requests}).keys() | {OPERATOR}
    issued = [_issue(transaction, one) if one.merchant_id in known else MerchantNotFound() for one in requests]
    store.insert_keys(transaction, [one.key for one in issued if isinstance(one, IssuedKey)])
    return issued


def _issue(transaction: Transaction, new: NewKey) -> IssuedKey:
    secret = make_secret(new.mode, new.random_part)
    key = ApiKey(
        id=new.id,
        merchant_id=new.merchant_id,
        hash=hash_secret(secret.encode()),
        shown=shorten_secret(secret),
        mode=new.mode.value,
        scopes=" ".join(sorted(new.scopes)),
        created_at=transaction.now,
    )
    return IssuedKey(key, secret)


def list_keys(transaction: Transaction, requests: Sequence[KeyFilter]) -> list[tuple[list[ApiKey], bool]]:
    """Read pages of keys, newest first, and whether each has a next page."""
    return [store.read_key_page(transaction, request) for request in requests]


def load_keys(transaction: Transaction, key_ids: Sequence[str]) -> list[ApiKey | KeyNotFound]:
    """Read keys by id."""
    found = store.read_keys(transaction, set(key_ids))
    return [found.get(one) or KeyNotFound() for one in key_ids]


class RevokeKey(msgspec.Struct, frozen=True, kw_only=True):
    """A request to revoke a key, which must be one of ``tenant``. ``operators`` allows it to be an operator key, which
    no API key may manage.
    """

    id: str
    operators: bool
    tenant: TenantFilter = TenantFilter()


def revoke_keys(transaction: Transaction, requests: Sequence[RevokeKey]) -> list[ApiKey | KeyNotFound]:
    """Revoke keys, immediately and permanently. A revoked key is not changed."""
    found = store.read_keys(transaction, {one.id for one in requests})
    to_revoke = {one.id: found[one.id] for one in requests if _may_manage(found.get(one.id), one)}
    ends = [KeyEnd(id=key.id, merchant_id=key.merchant_id, revoked_at=transaction.now) for key in to_revoke.values()]
    store.end_keys(transaction, ends)
    now = store.read_keys(transaction, to_revoke)
    return [now[one.id] if _may_manage(found.get(one.id), one) else KeyNotFound() for one in requests]


def _may_manage(key: ApiKey | None, request: "RevokeKey | RotateKey") -> bool:
    if key is None or (key.merchant_id == OPERATOR and not request.operators):
        return False
    tenant = request.tenant
    return tenant.merchant_id in (None, key.merchant_id) and tenant.mode in (None, key.mode)


class RotateKey(msgspec.Struct, frozen=True, kw_only=True):
    """A request to replace a key of ``tenant``. Both keys are active until the overlap ends."""

    id: str
    new_id: str
    random_part: str
    overlap_seconds: int
    operators: bool
    tenant: TenantFilter = TenantFilter()


RotateOutcome: TypeAlias = IssuedKey | KeyNotFound | KeyNotActive


def rotate_keys(transaction: Transaction, requests: Sequence[RotateKey]) -> list[RotateOutcome]:
    """Rotate keys. A key is replaced only once, so that at most two keys are active."""
    return [_rotate(transaction, request) for request in requests]


def _rotate(transaction: Transaction, request: RotateKey) -> RotateOutcome:
    key = store.read_keys(transaction, [request.id]).get(request.id)
    if key is None or not _may_manage(key, request):
        return KeyNotFound()
    issued = _issue(
        transaction,
        NewKey(
            id=request.new_id,
            random_part=request.random_part,
            merchant_id=key.merchant_id,
            mode=Mode(key.mode),
            scopes=key.caller.scopes,
        ),
    )
    if key.replaced_by == request.new_id:  # This request, from a commit whose result was lost.
        return issued
    status = key.status(transaction.now)
    if status is not KeyStatus.ACTIVE:
        return KeyNotActive(f"is {status.lower()}")
    if key.replaced_by is not None:
        return KeyNotActive("was rotated before")
    end = KeyEnd(
        id=key.id,
        merchant_id=key.merchant_id,
        expires_at=transaction.now + request.overlap_seconds * 1000,
        replaced_by=request.new_id,
    )
    if not store.end_keys(transaction, [end]):
        return _rotate(transaction, request)  # Another process ended it: start over.
    store.insert_keys(transaction, [issued.key])
    return issued


class ActiveKey(msgspec.Struct, frozen=True):
    """The caller of an active key, and the milliseconds until it expires; None where it does not expire."""

    caller: Caller
    remaining_ms: int | None


def load_active_keys(transaction: Transaction, requests: Sequence[Sequence[str]]) -> list[dict[str, ActiveKey | None]]:
    """Load active keys by the hashes of their secrets. Others are left out, or None where a node is lost that may store
    them.
    """
    found = store.read_keys_by_hash(transaction, {one for request in requests for one in request})
    now = transaction.now
    active: dict[str, ActiveKey | None] = {
        one.hash: ActiveKey(one.caller, None if one.expires_at is None else one.expires_at - now)
        for one in found.values()
        if one.status(now) is KeyStatus.ACTIVE
    }
    if transaction.is_partial:
        active |= {one: None for request in requests for one in request if one not in found}
    return [{one: active[one] for one in request if one in active} for request in requests]
