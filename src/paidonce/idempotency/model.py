"""What is stored for a request with an idempotency key, and how a repeated request is compared with it."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from paidonce.clock import Instant
from paidonce.merchants.model import Mode, Tenant

DIGEST_DIGITS: Final = 32


class ScopedKey(msgspec.Struct, frozen=True, order=True):
    """An idempotency key, and whose it is. The same key of another merchant, or in the other mode, is another one.

    For an operator's key, the fields say what ``operator_key_space`` does.
    """

    merchant_id: str
    mode: str
    key: str


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A request's claim to an idempotency key. ``id`` identifies the request, which recognizes its own claim.

    ``fields`` holds a digest of each field of the body, so that a difference can be named although no content is
    stored. ``secret`` is what the response shows once, encrypted.
    """

    id: str
    name: ScopedKey
    path: str
    fields: Mapping[str, str]
    retention_ms: int
    request_id: str | None = None
    secret: str | None = None


class StoredResponse(msgspec.Struct, frozen=True):
    """The stored response to a request: its status, the path of the resource that it created or changed, and the
    attempt, if any.

    ``answer`` is the response body as JSON, where it cannot be made again by reading the resource.
    """

    status: int
    resource: str
    attempt_id: str | None = None
    answer: str | None = None


def field_digests(fields: Mapping[str, object]) -> dict[str, str]:
    """Return a digest of each field of a request, by which another request with its key is compared."""
    return {
        name: hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:DIGEST_DIGITS]
        for name, value in fields.items()
    }


class IdempotencyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table of idempotency keys: which request claimed the key, and how it was answered."""

    merchant_id: str
    mode: str
    key: str
    claim_id: str
    path: str
    fields: str
    status: int | None
    resource: str | None
    attempt_id: str | None
    request_id: str | None
    created_at: Instant
    expires_at: Instant
    secret: str | None
    answer: str | None

    @property
    def name(self) -> ScopedKey:
        """The key, and whose it is."""
        return ScopedKey(self.merchant_id, self.mode, self.key)

    def differing_fields(self, claim: Claim) -> list[str]:
        """Name what differs in another request with this key: its path, or fields of its body."""
        if claim.path != self.path:
            return ["path"]
        stored: dict[str, str] = msgspec.json.decode(self.fields)
        return [name for name in {**stored, **claim.fields} if stored.get(name) != claim.fields.get(name)]


class Idempotency(msgspec.Struct, frozen=True):
    """How a request takes effect once: the claim to its key, and ``summarize``, which makes the stored response.

    ``summarize`` is called with the request and its outcome. It must be a module-level function, one for each kind of
    request: a batcher groups requests by their action and ``summarize``.
    """

    claim: Claim
    summarize: Callable[[Any, Any], StoredResponse]


class ClaimedRequest(msgspec.Struct, frozen=True):
    """A request with its claim to an idempotency key."""

    request: Any
    claim: Claim


class AlreadyProcessed(msgspec.Struct, frozen=True):
    """The same request was processed before. Nothing was done now."""

    record: IdempotencyRecord


def operator_key_space(key_id: str) -> Tenant:
    """Return the namespace for the idempotency keys of an operator's API key, for calls that concern no merchant.

    It is stored in place of a merchant. No merchant can have this id, because it contains a space. These calls have no
    mode; that of the namespace means nothing.
    """
    return Tenant(f"operator {key_id}", Mode.TEST)


def person_key_space(user_id: str) -> Tenant:
    """Return the namespace for the idempotency keys of a person's forms. As that of an operator it is no merchant's."""
    return Tenant(f"person {user_id}", Mode.TEST)
