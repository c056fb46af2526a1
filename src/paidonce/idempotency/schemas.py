"""What the call about idempotency keys reads and responds with."""

import msgspec

from paidonce.checkouts.model import Checkout
from paidonce.clock import format_instant
from paidonce.http.tenancy import TenantFields
from paidonce.idempotency.model import IdempotencyRecord


class IdempotencyKeyParameters(TenantFields, frozen=True, kw_only=True):
    """The tenant of a key. Without a merchant it is a key of the operator, sent with a call about no merchant."""


class KeyUse(msgspec.Struct, frozen=True, rename="camel"):
    """A call that took effect with a key: its path, its status, and the resource that it created or changed.

    ``expiresAt`` is null for the creation of a checkout: that key is kept for ever.
    """

    path: str
    status: int
    resource: str
    attempt_id: str | None
    request_id: str | None
    created_at: str
    expires_at: str | None


class IdempotencyKeyResponse(msgspec.Struct, frozen=True, rename="camel"):
    """What a key was used for: the creation of a checkout, another call, or one of each.

    ``merchantId`` and ``mode`` are null where the key is an operator's own, for calls that are about no merchant.
    """

    key: str
    merchant_id: str | None
    mode: str | None
    data: list[KeyUse]


def record_use(record: IdempotencyRecord) -> KeyUse:
    """Show what a key was used for."""
    assert record.status is not None, "what is committed was answered"
    assert record.resource is not None, "as the status"
    return KeyUse(
        record.path,
        record.status,
        record.resource,
        record.attempt_id,
        record.request_id,
        format_instant(record.created_at),
        format_instant(record.expires_at),
    )


def creation_use(checkout: Checkout) -> KeyUse:
    """Show which checkout a key created."""
    created_at = format_instant(checkout.created_at)
    return KeyUse("/checkouts", 201, f"/checkouts/{checkout.id}", None, None, created_at, None)
