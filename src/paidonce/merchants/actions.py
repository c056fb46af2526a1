"""What can be done with merchants and keys: create, list, rotate, revoke, and tell whose a key is."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from paidonce.database.transaction import Transaction
from paidonce.errors import KeyNotActive, KeyNotFound, MerchantNotFound
from paidonce.merchants import store
from paidonce.merchants.model import OPERATOR, Caller, Key, KeyStatus, Merchant, Mode, Scope
from paidonce.merchants.secret import hash_secret, make_secret, show_secret
from paidonce.merchants.store import KeyEnd, KeyFilter


class MerchantMade(msgspec.Struct, frozen=True):
    """A merchant, and whether this request made it."""

    merchant: Merchant
    is_new: bool


def create_merchants(transaction: Transaction, merchant_ids: Sequence[str]) -> list[MerchantMade]:
    """Create merchants; one that is there stays as it is."""
    made = store.insert_merchants(transaction, set(merchant_ids))
    found = store.read_merchants(transaction, set(merchant_ids))
    return [MerchantMade(found[one], one in made) for one in merchant_ids]


def find_merchants(transaction: Transaction, merchant_ids: Sequence[str]) -> list[Merchant | MerchantNotFound]:
    """Read merchants by id."""
    found = store.read_merchants(transaction, set(merchant_ids))
    return [found.get(one) or MerchantNotFound() for one in merchant_ids]


class MerchantFilter(msgspec.Struct, frozen=True):
    """Which merchants a page shows: those whose ids come after one, in the order of ids."""

    limit: int
    starting_after: str = ""


def list_merchants(transaction: Transaction, requests: Sequence[MerchantFilter]) -> list[tuple[list[Merchant], bool]]:
    """Read pages of merchants, and whether more lies beyond each."""
    return [store.read_merchant_page(transaction, after=one.starting_after, limit=one.limit) for one in requests]


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A request to make a key, with its id and the characters that chance drew for its secret."""

    id: str
    drawn: str
    merchant_id: str
    mode: Mode
    scopes: frozenset[Scope]


class Issued(msgspec.Struct, frozen=True):
    """A key that was made, with its secret: the only time that anybody sees it."""

    key: Key
    secret: str


def create_keys(transaction: Transaction, requests: Sequence[NewKey]) -> list[Issued | MerchantNotFound]:
    """Make keys of merchants that are there, and keys of the operator."""
    known = store.read_merchants(transaction, {one.merchant_id for one in requests}).keys() | {OPERATOR}
    issued = [_issue(transaction, one) if one.merchant_id in known else MerchantNotFound() for one in requests]
    store.insert_keys(transaction, [one.key for one in issued if isinstance(one, Issued)])
    return issued


def _issue(transaction: Transaction, new: NewKey) -> Issued:
    secret = make_secret(new.mode, new.drawn)
    key = Key(
        id=new.id,
        merchant_id=new.merchant_id,
        hash=hash_secret(secret.encode()),
        shown=show_secret(secret),
        mode=new.mode.value,
        scopes=" ".join(sorted(new.scopes)),
        created_at=transaction.now,
    )
    return Issued(key, secret)


def list_keys(transaction: Transaction, requests: Sequence[KeyFilter]) -> list[tuple[list[Key], bool]]:
    """Read pages of keys, newest first, and whether more lies beyond each."""
    return [store.read_key_page(transaction, request) for request in requests]


def find_keys(transaction: Transaction, key_ids: Sequence[str]) -> list[Key | KeyNotFound]:
    """Read keys by id."""
    found = store.read_keys(transaction, set(key_ids))
    return [found.get(one) or KeyNotFound() for one in key_ids]


class RevokeKey(msgspec.Struct, frozen=True, kw_only=True):
    """A request to revoke a key. ``operators``: it may be an operator's, which only its own shell may touch."""

    id: str
    operators: bool


def revoke_keys(transaction: Transaction, requests: Sequence[RevokeKey]) -> list[Key | KeyNotFound]:
    """Revoke keys, now and for good; one that is revoked stays as it is."""
    found = store.read_keys(transaction, {one.id for one in requests})
    meant = {one.id: found[one.id] for one in requests if _may_touch(found.get(one.id), operators=one.operators)}
    ends = [KeyEnd(id=key.id, merchant_id=key.merchant_id, revoked_at=transaction.now) for key in meant.values()]
    store.end_keys(transaction, ends)
    now = store.read_keys(transaction, meant)
    return [
        now[one.id] if _may_touch(found.get(one.id), operators=one.operators) else KeyNotFound() for one in requests
    ]


def _may_touch(key: Key | None, *, operators: bool) -> bool:
    return key is not None and (operators or key.merchant_id != OPERATOR)


class RotateKey(msgspec.Struct, frozen=True, kw_only=True):
    """A request to put a new key in a key's place; both live until the overlap is over."""

    id: str
    new_id: str
    drawn: str
    overlap_seconds: int
    operators: bool


RotateOutcome: TypeAlias = Issued | KeyNotFound | KeyNotActive


def rotate_keys(transaction: Transaction, requests: Sequence[RotateKey]) -> list[RotateOutcome]:
    """Make keys that take others' places. A key is replaced once, so that of one two at the most are alive."""
    return [_rotate(transaction, request) for request in requests]


def _rotate(transaction: Transaction, request: RotateKey) -> RotateOutcome:
    key = store.read_keys(transaction, [request.id]).get(request.id)
    if key is None or not _may_touch(key, operators=request.operators):
        return KeyNotFound()
    issued = _issue(
        transaction,
        NewKey(
            id=request.new_id,
            drawn=request.drawn,
            merchant_id=key.merchant_id,
            mode=Mode(key.mode),
            scopes=key.caller.scopes,
        ),
    )
    if key.replaced_by == request.new_id:  # Our own work, from a commit whose answer was lost.
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
        return _rotate(transaction, request)  # Another process ended it meanwhile: look again.
    store.insert_keys(transaction, [issued.key])
    return issued


class ActiveKey(msgspec.Struct, frozen=True):
    """Whose a key is, and for how many milliseconds more; None where no end is set."""

    caller: Caller
    remaining_ms: int | None


def load_active_keys(transaction: Transaction, requests: Sequence[Sequence[str]]) -> list[dict[str, ActiveKey]]:
    """Find keys by the hashes of their secrets; those that open nothing are left out."""
    found = store.find_by_hash(transaction, {one for request in requests for one in request})
    now = transaction.now
    living = {
        one.hash: ActiveKey(one.caller, None if one.expires_at is None else one.expires_at - now)
        for one in found.values()
        if one.status(now) is KeyStatus.ACTIVE
    }
    return [{one: living[one] for one in request if one in living} for request in requests]
