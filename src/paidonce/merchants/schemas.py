"""What an operator's calls about merchants and API keys read and respond with."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from paidonce import ids
from paidonce.clock import Instant, format_instant
from paidonce.http.fields import Fields
from paidonce.http.formats import Limit, MerchantId, whole
from paidonce.merchants.actions import IssuedKey
from paidonce.merchants.model import OVERLAP_SECONDS_DEFAULT, OVERLAP_SECONDS_MAX, ApiKey, Merchant

KeyId = Annotated[str, whole(ids.pattern(ids.KEY))]
MerchantScope = Literal[
    "checkouts:read",
    "checkouts:write",
    "refunds:write",
    "events:read",
    "webhooks:write",
    "providers:read",
    "providers:write",
    "profile:write",
]


class CreateMerchantBody(Fields, frozen=True, kw_only=True):
    """A merchant to create. You choose its id, which is the ``merchantId`` of its checkouts."""

    id: MerchantId


class ListMerchantsParameters(Fields, frozen=True, kw_only=True):
    """Which merchants to list, in the order of their ids."""

    limit: Limit = 10
    starting_after: MerchantId | None = None
    prefix: Annotated[MerchantId, Meta(description="Only merchants whose ids begin with this.")] | None = None


class CreateKeyBody(Fields, frozen=True, kw_only=True):
    """An API key to create, for a merchant that exists."""

    merchant_id: MerchantId
    mode: Annotated[
        Literal["test", "live"],
        Meta(description="The mode of the key, `sk_test_…` or `sk_live_…`: it sees data of this mode only."),
    ] = "test"
    scopes: (
        Annotated[
            list[MerchantScope],
            Meta(min_length=1, max_length=16, description="What the key may do; if absent, all that a merchant may."),
        ]
        | None
    ) = None


class ListKeysParameters(Fields, frozen=True, kw_only=True):
    """Which API keys to list, newest first."""

    merchant_id: MerchantId | None = None
    limit: Limit = 10
    starting_after: KeyId | None = None


class RevokeKeyBody(Fields, frozen=True, kw_only=True):
    """The body may be absent or ``{}``."""


class RotateKeyBody(Fields, frozen=True, kw_only=True):
    """How long the replaced key stays valid; the whole body may be absent."""

    overlap_seconds: Annotated[
        int, Meta(ge=0, le=OVERLAP_SECONDS_MAX, description="Default 86400; 0 ends it at once.")
    ] = OVERLAP_SECONDS_DEFAULT


class MerchantResponse(msgspec.Struct, frozen=True, rename="camel"):
    """A merchant."""

    id: str
    created_at: str


class MerchantPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of merchants, in the order of their ids."""

    data: list[MerchantResponse]
    has_more: bool


class KeyResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An API key without its secret. ``shown`` is how the secret begins; ``status`` is ACTIVE, EXPIRED or REVOKED."""

    id: str
    merchant_id: str
    mode: str
    scopes: list[str]
    shown: str
    status: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    replaced_by: str | None


class IssuedKeyResponse(KeyResponse, frozen=True, kw_only=True, rename="camel"):
    """An API key that was just created. ``secret`` is shown here, and again only to a client that repeats this call
    with its idempotency key; where it can be shown no more, ``secretShownAt`` says when it was.
    """

    secret: str | msgspec.UnsetType = msgspec.UNSET
    secret_shown_at: str | msgspec.UnsetType = msgspec.UNSET


class KeyPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of API keys, newest first."""

    data: list[KeyResponse]
    has_more: bool


def merchant_response(merchant: Merchant) -> MerchantResponse:
    """Show a merchant."""
    return MerchantResponse(merchant.id, format_instant(merchant.created_at))


def key_response(key: ApiKey, now: Instant) -> KeyResponse:
    """Show a key as it is now."""
    return KeyResponse(**_shown(key, now))  # type: ignore[arg-type]


def issued_key_response(issued: IssuedKey, now: Instant) -> IssuedKeyResponse:
    """Show a key that was just made, with its secret."""
    return IssuedKeyResponse(secret=issued.secret, **_shown(issued.key, now))  # type: ignore[arg-type]


def issued_key_response_again(key: ApiKey, now: Instant, *, secret: str | None, shown_at: Instant) -> IssuedKeyResponse:
    """Show a key that was made before, as it is now, with its secret or, without that, with when it was shown."""
    if secret is None:
        return IssuedKeyResponse(secret_shown_at=format_instant(shown_at), **_shown(key, now))  # type: ignore[arg-type]
    return issued_key_response(IssuedKey(key, secret), now)


def _shown(key: ApiKey, now: Instant) -> dict[str, object]:
    return {
        "id": key.id,
        "merchant_id": key.merchant_id,
        "mode": key.mode,
        "scopes": key.scopes.split(),
        "shown": key.shown,
        "status": key.status(now).value,
        "created_at": format_instant(key.created_at),
        "expires_at": None if key.expires_at is None else format_instant(key.expires_at),
        "revoked_at": None if key.revoked_at is None else format_instant(key.revoked_at),
        "replaced_by": key.replaced_by,
    }
