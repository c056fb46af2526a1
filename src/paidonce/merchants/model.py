"""Who may do what: keys, their scopes, and the caller that a request comes from."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, Protocol, TypeVar

import msgspec

from paidonce.clock import Instant


class Scope(StrEnum):
    """What a key may be allowed to do."""

    CHECKOUTS_READ = "checkouts:read"
    CHECKOUTS_WRITE = "checkouts:write"
    REFUNDS_WRITE = "refunds:write"
    EVENTS_READ = "events:read"
    WEBHOOKS_WRITE = "webhooks:write"
    ADMIN = "admin"


# What a merchant's key may be allowed: merchants and keys are an operator's to manage.
MERCHANT_SCOPES: Final = frozenset(Scope) - {Scope.ADMIN}

# The merchant of an operator's keys: no merchant can have this id, and it keeps the primary key whole.
OPERATOR: Final = ""

OVERLAP_SECONDS_DEFAULT: Final = 86_400  # A day is enough to roll a key out, and short enough not to be forgotten.
OVERLAP_SECONDS_MAX: Final = 30 * 86_400


class Mode(StrEnum):
    """What a key's own name says that it is for. Both see the same data; only the simulator takes payments yet."""

    TEST = "test"
    LIVE = "live"


class KeyStatus(StrEnum):
    """Whether a key opens anything."""

    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"


class Merchant(msgspec.Struct, frozen=True):
    """Who sells."""

    id: str
    created_at: Instant


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is stored: of its secret only the hash. ``scopes`` are separated by spaces.

    ``shown`` is the secret's beginning, ``replaced_by`` the key that a rotation put in its place.
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
        """Tell whether it opens anything at an instant."""
        if self.revoked_at is not None:
            return KeyStatus.REVOKED
        return KeyStatus.EXPIRED if self.expires_at is not None and self.expires_at <= now else KeyStatus.ACTIVE

    @property
    def caller(self) -> "Caller":
        """Who makes a request that bears it."""
        scopes = frozenset(Scope(one) for one in self.scopes.split())
        return Caller(None if self.merchant_id == OPERATOR else self.merchant_id, scopes, self.id)


class TenantScopedId(msgspec.Struct, frozen=True):
    """A thing as somebody names it: its id, and the merchant whose it must be to be found.

    None where that does not matter: to a caller without a merchant, and to the service itself.
    """

    id: str
    merchant_id: str | None


class TenantOwned(Protocol):
    """A thing that is some merchant's."""

    @property
    def merchant_id(self) -> str:
        """Whose it is."""
        ...


AnyTenantOwned = TypeVar("AnyTenantOwned", bound=TenantOwned)


def pick_visible(
    wanted: Iterable[TenantScopedId], found: Mapping[str, AnyTenantOwned]
) -> dict[TenantScopedId, AnyTenantOwned]:
    """Give each name the thing that was found under its id, if it may have it.

    Two merchants may name one id in the same batch: the statement finds it for one, and the other must not get it.
    """
    return {name: one for name in wanted if (one := found.get(name.id)) and name.merchant_id in (None, one.merchant_id)}


class Caller(msgspec.Struct, frozen=True):
    """Who makes a request. Without a merchant it may act for every one: an operator, or all while keys are off.

    ``key_id`` is None while keys are off.
    """

    merchant_id: str | None
    scopes: frozenset[Scope]
    key_id: str | None = None


# While keys are off nobody may make any: a key outlives the setting, and whoever made it would still have it.
ANYBODY: Final = Caller(None, MERCHANT_SCOPES)
