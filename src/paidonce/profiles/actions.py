"""Use cases for profiles. Each is one function over a batch."""

from base64 import b64decode
from collections.abc import Sequence
from hashlib import sha256

import msgspec

from paidonce.database.transaction import Transaction
from paidonce.errors import LogoNotFound
from paidonce.events.model import Cause, EventType, NewEvent, Origin
from paidonce.merchants.model import Tenant
from paidonce.profiles import store
from paidonce.profiles.images import Image
from paidonce.profiles.model import Logo, Profile

DIGEST_DIGITS = 32


class NewLogo(msgspec.Struct, frozen=True):
    """A logo that was judged: its bytes in base64, and what it is."""

    content: str
    logo: Logo


def make_logo(content: str, image: Image) -> NewLogo:
    """Name a logo by the digest of its bytes."""
    digest = sha256(b64decode(content)).hexdigest()[:DIGEST_DIGITS]
    return NewLogo(content, Logo(digest, image.media_type, image.width, image.height))


class ChangeProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A request to change a profile. What is UNSET stays as it is, and None removes."""

    tenant: Tenant
    display_name: str | msgspec.UnsetType | None = msgspec.UNSET
    color: str | msgspec.UnsetType | None = msgspec.UNSET
    checkout_page: bool | msgspec.UnsetType = msgspec.UNSET
    support_email: str | msgspec.UnsetType | None = msgspec.UNSET
    support_url: str | msgspec.UnsetType | None = msgspec.UNSET
    logo: NewLogo | msgspec.UnsetType | None = msgspec.UNSET
    origin: Origin = Origin()


PLAIN = ("display_name", "color", "checkout_page", "support_email", "support_url")


def load_profiles(transaction: Transaction, tenants: Sequence[Tenant]) -> list[Profile]:
    """Read profiles. One that was never changed has everything at its default."""
    found = store.read_profiles(transaction, set(tenants))
    return [found.get(one) or _default(one) for one in tenants]


def change_profiles(transaction: Transaction, requests: Sequence[ChangeProfile]) -> list[Profile]:
    """Change profiles, with an event for each that is different afterwards."""
    return [_change(transaction, request) for request in requests]


def _change(transaction: Transaction, request: ChangeProfile) -> Profile:
    tenant = request.tenant
    seen = store.read_profiles(transaction, [tenant]).get(tenant) or _default(tenant)
    wanted = {name: value for name in PLAIN if (value := getattr(request, name)) is not msgspec.UNSET}
    if request.logo is not msgspec.UNSET:
        wanted["logo"] = request.logo.logo if isinstance(request.logo, NewLogo) else None
    changed = [name for name, value in wanted.items() if getattr(seen, name) != value]
    if not changed:
        return seen
    profile = msgspec.structs.replace(seen, **wanted, version=seen.version + 1, updated_at=transaction.now)
    content = request.logo.content if isinstance(request.logo, NewLogo) else None
    if not store.write_profile(transaction, profile, content):
        return _change(transaction, request)  # Another process has changed it meanwhile: start over.
    transaction.events.append(
        NewEvent(
            type=EventType.PROFILE_UPDATED,
            cause=Cause.REQUEST,
            merchant_id=tenant.merchant_id,
            mode=tenant.mode,
            origin=request.origin,
            detail={"fields": " ".join(sorted(changed))},
        )
    )
    return profile


def _default(tenant: Tenant) -> Profile:
    return Profile(merchant_id=tenant.merchant_id, mode=tenant.mode)


def list_without_page(transaction: Transaction, limits: Sequence[int]) -> list[list[Tenant]]:
    """List merchants, with the mode, whose checkouts have no pages: at most ``limit`` for each request."""
    return [store.read_without_page(transaction, limit) for limit in limits]


class LogoFile(msgspec.Struct, frozen=True):
    """A logo as it is served: its bytes in base64, and their media type."""

    content: str
    media_type: str


def load_logos(transaction: Transaction, digests: Sequence[str]) -> list[LogoFile | LogoNotFound]:
    """Read logos by their digests."""
    found = {one: store.read_logo(transaction, one) for one in set(digests)}
    return [LogoFile(*one) if (one := found[digest]) is not None else LogoNotFound() for digest in digests]
