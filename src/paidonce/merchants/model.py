"""API keys, their scopes, and the caller that a request comes from."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, Protocol, TypeVar

import msgspec

from paidonce.clock import Instant


class Scope(StrEnum):
    """What a key may be permitted to do."""

    CHECKOUTS_READ = "checkouts:read"
    CHECKOUTS_WRITE = "checkouts:write"
    REFUNDS_WRITE = "refunds:write"
    EVENTS_READ = "events:read"
    WEBHOOKS_WRITE = "webhooks:write"
    PROVIDERS_READ = "providers:read"
    PROVIDERS_WRITE = "providers:write"
    PROFILE_WRITE = "profile:write"
    ADMIN = "admin"


# The scopes that a merchant's key may have. Only an operator manages merchants and keys.
MERCHANT_SCOPES: Final = frozenset(Scope) - {Scope.ADMIN}

# The merchant id of operator keys. No merchant can have it, and the column of the primary key is never null.
OPERATOR: Final = ""

MERCHANT_ID: Final = re.compile(r"[!-~]{1,128}")

OVERLAP_SECONDS_DEFAULT: Final = 86_400  # A day is enough to deploy a new key.
OVERLAP_SECONDS_MAX: Final = 30 * 86_400


class Mode(StrEnum):
    """Whether money moves. A merchant has two sets of data, one in each mode, and a key sees those of its mode."""

    TEST = "test"
    LIVE = "live"


class KeyStatus(StrEnum):
    """Whether a key is valid."""

    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"


class Merchant(msgspec.Struct, frozen=True):
    """A merchant: a tenant of the service."""

    id: str
    created_at: Instant


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key as it is stored: only the hash of its secret. ``scopes`` are separated by spaces.

    ``shown`` is the beginning of the secret. ``replaced_by`` is the key that a rotation replaced it with.
    """

    id: str
    merchant_id: str
    hash: str
    shown: str
    mode: str
    scopes: str
    created_at: Instant
    expires_at: Instant | None = None
    revoked_at: Instant | None = None
    replaced_by: str | None = None

    def status(self, now: Instant) -> KeyStatus:
        """Return its status at an instant."""
        if self.revoked_at is not None:
            return KeyStatus.REVOKED
        return KeyStatus.EXPIRED if self.expires_at is not None and self.expires_at <= now else KeyStatus.ACTIVE

    @property
    def caller(self) -> "Caller":
        """The caller of a request with this key."""
        scopes = frozenset(Scope(one) for one in self.scopes.split())
        if self.merchant_id == OPERATOR:
            return Caller(None, scopes, self.id)
        return Caller(self.merchant_id, scopes, self.id, Mode(self.mode))


class Tenant(msgspec.Struct, frozen=True, order=True):
    """The owner of data: a merchant, in one of its two modes."""

    merchant_id: str
    mode: str


class TenantFilter(msgspec.Struct, frozen=True):
    """The tenant whose data is listed; None stands for every merchant, or for both modes."""

    merchant_id: str | None = None
    mode: str | None = None


class TenantScopedId(msgspec.Struct, frozen=True):
    """The id of a resource, and the merchant and the mode that it must belong to in order to be found.

    ``merchant_id`` is None where any merchant's resource may be found, and ``mode`` where that of either mode may: for
    an operator, and for the service itself.
    """

    id: str
    merchant_id: str | None
    mode: str | None = None

    def finds(self, resource: "TenantOwned") -> bool:
        """Tell whether a resource with this id may be found."""
        return self.merchant_id in (None, resource.merchant_id) and self.mode in (None, resource.mode)


class TenantOwned(Protocol):
    """A resource that belongs to a merchant, in one mode."""

    @property
    def merchant_id(self) -> str:
        """The merchant that it belongs to."""
        ...

    @property
    def mode(self) -> str:
        """The mode that it belongs to."""
        ...


AnyTenantOwned = TypeVar("AnyTenantOwned", bound=TenantOwned)


def pick_visible(
    wanted: Iterable[TenantScopedId], found: Mapping[str, AnyTenantOwned]
) -> dict[TenantScopedId, AnyTenantOwned]:
    """Return, for each id, the resource that was found, where it belongs to the merchant and the mode of that id.

    Two merchants may ask for the same id in one batch: the statement finds the resource for one of them, and the other
    must not get it.
    """
    return {name: one for name in wanted if (one := found.get(name.id)) and name.finds(one)}


class Caller(msgspec.Struct, frozen=True):
    """The caller of a request. Without a merchant it may act for all: an operator, or everybody while authentication is
    off.

    ``key_id`` is None while authentication is off; for a person it is the id of the user. ``mode`` is that of a
    merchant's key; None where the caller may act in both modes. ``actor`` names a person in events.
    """

    merchant_id: str | None
    scopes: frozenset[Scope]
    key_id: str | None = None
    mode: Mode | None = None
    actor: str | None = None

    def scoped_id(self, resource_id: str) -> TenantScopedId:
        """Name a resource for this caller: another merchant's, or one of the other mode, is not found."""
        return TenantScopedId(resource_id, self.merchant_id, self.mode)


# While authentication is off, nobody may create keys: they would still be valid after it is turned on.
UNAUTHENTICATED: Final = Caller(None, MERCHANT_SCOPES)
