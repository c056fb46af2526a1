"""Who may do what: scopes, and the caller that a request comes from."""

from enum import StrEnum
from typing import Final

import msgspec


class Scope(StrEnum):
    """What a key may be allowed to do."""

    CHECKOUTS_READ = "checkouts:read"
    CHECKOUTS_WRITE = "checkouts:write"
    REFUNDS_WRITE = "refunds:write"
    EVENTS_READ = "events:read"
    WEBHOOKS_WRITE = "webhooks:write"
    ADMIN = "admin"


class Caller(msgspec.Struct, frozen=True):
    """Who makes a request. Without a merchant it may act for every one: an operator, or all while keys are off."""

    merchant_id: str | None
    scopes: frozenset[Scope]
    key_id: str | None = None


ANYBODY: Final = Caller(None, frozenset(Scope))
