"""What an operator's calls answer with."""

import msgspec

from paidonce.clock import Instant, format_instant
from paidonce.merchants.actions import IssuedKey
from paidonce.merchants.model import ApiKey, Merchant


class MerchantAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """A merchant."""

    id: str
    created_at: str


class MerchantPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of merchants, in the order of their ids."""

    data: list[MerchantAnswer]
    has_more: bool


class KeyAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A key without its secret. ``shown`` is how the secret begins; ``status`` is ACTIVE, EXPIRED or REVOKED."""

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


class IssuedKeyAnswer(KeyAnswer, frozen=True, kw_only=True, rename="camel"):
    """A key that was just made. ``secret`` is shown here, and again only to who repeats this very call with its
    idempotency key; where it can be shown no more, ``secretShownAt`` says when it was.
    """

    secret: str | msgspec.UnsetType = msgspec.UNSET
    secret_shown_at: str | msgspec.UnsetType = msgspec.UNSET


class KeyPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of keys, newest first."""

    data: list[KeyAnswer]
    has_more: bool


def merchant_answer(merchant: Merchant) -> MerchantAnswer:
    """Show a merchant."""
    return MerchantAnswer(merchant.id, format_instant(merchant.created_at))


def key_answer(key: ApiKey, now: Instant) -> KeyAnswer:
    """Show a key as it is now."""
    return KeyAnswer(**_shown(key, now))  # type: ignore[arg-type]


def issued_answer(issued: IssuedKey, now: Instant) -> IssuedKeyAnswer:
    """Show a key that was just made, with its secret."""
    return IssuedKeyAnswer(secret=issued.secret, **_shown(issued.key, now))  # type: ignore[arg-type]


def issued_answer_again(key: ApiKey, now: Instant, *, secret: str | None, shown_at: Instant) -> IssuedKeyAnswer:
    """Show a key that was made before, as it is now, with its secret or, without that, with when it was shown."""
    if secret is None:
        return IssuedKeyAnswer(secret_shown_at=format_instant(shown_at), **_shown(key, now))  # type: ignore[arg-type]
    return issued_answer(IssuedKey(key, secret), now)


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
