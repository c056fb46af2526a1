"""Who may do what: scopes, and the caller that a request comes from."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, Protocol, TypeVar

import msgspec


class Scope(StrEnum):
    """What a key may be allowed to do."""

    CHECKOUTS_READ = "checkouts:read"
    CHECKOUTS_WRITE = "checkouts:write"
    REFUNDS_WRITE = "refunds:write"
    EVENTS_READ = "events:read"
    WEBHOOKS_WRITE = "webhooks:write"
    ADMIN = "admin"


class OwnedId(msgspec.Struct, frozen=True):
    """A thing as somebody names it: its id, and the merchant whose it must be to be found.

    None where that does not matter: to a caller without a merchant, and to the service itself.
    """

    id: str
    merchant_id: str | None


class Owned(Protocol):
    """A thing that is some merchant's."""

    @property
    def merchant_id(self) -> str:
        """Whose it is."""
        ...


AnyOwned = TypeVar("AnyOwned", bound=Owned)


def pick_owned(wanted: Iterable[OwnedId], found: Mapping[str, AnyOwned]) -> dict[OwnedId, AnyOwned]:
    """Give each name the thing that was found under its id, if it may have it.

    Two merchants may name one id in the same batch: the statement finds it for one, and the other must not get it.
    """
    return {name: one for name in wanted if (one := found.get(name.id)) and name.merchant_id in (None, one.merchant_id)}


class Caller(msgspec.Struct, frozen=True):
    """Who makes a request. Without a merchant it may act for every one: an operator, or all while keys are off."""

    merchant_id: str | None
    scopes: frozenset[Scope]
    key_id: str | None = None


ANYBODY: Final = Caller(None, frozenset(Scope))
