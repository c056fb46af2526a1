"""What an operator's calls may say."""

from typing import Annotated, Literal

from msgspec import Meta

from paidonce.http.bodies import MerchantId, whole
from paidonce.http.reading import Fields
from paidonce.merchants.model import OVERLAP_SECONDS_DEFAULT, OVERLAP_SECONDS_MAX

KeyId = Annotated[str, whole(r"key_[0-9a-v]{26}")]
MerchantScope = Literal["checkouts:read", "checkouts:write", "refunds:write", "events:read", "webhooks:write"]


class CreateMerchantBody(Fields, frozen=True, kw_only=True):
    """A merchant to create. Its id is yours to choose: its checkouts bear it."""

    id: MerchantId


class MerchantParameters(Fields, frozen=True, kw_only=True):
    """Which merchants to list, in the order of their ids."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    starting_after: MerchantId | None = None


class CreateKeyBody(Fields, frozen=True, kw_only=True):
    """A key to make, for a merchant that is there."""

    merchant_id: MerchantId
    mode: Annotated[Literal["test", "live"], Meta(description="What the key's name says that it is for.")] = "test"
    scopes: (
        Annotated[
            list[MerchantScope],
            Meta(min_length=1, max_length=16, description="What it may do; all that a merchant may, if absent."),
        ]
        | None
    ) = None


class KeyParameters(Fields, frozen=True, kw_only=True):
    """Which keys to list, newest first."""

    merchant_id: MerchantId | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    starting_after: KeyId | None = None


class RevokeKeyBody(Fields, frozen=True, kw_only=True):
    """Nothing needs saying; the body may be absent or ``{}``."""


class RotateKeyBody(Fields, frozen=True, kw_only=True):
    """How long the key that is replaced lives on; the whole body may be absent."""

    overlap_seconds: Annotated[
        int, Meta(ge=0, le=OVERLAP_SECONDS_MAX, description="Default 86400; 0 ends it at once.")
    ] = OVERLAP_SECONDS_DEFAULT
