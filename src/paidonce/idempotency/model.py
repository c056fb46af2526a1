"""What is kept of a request that bore an idempotency key, and what another with the same key is held against."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from paidonce.clock import Instant


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A request's claim to its merchant's key. ``id`` is this very request's, so that it knows its own claim again.

    ``merchant_id`` is the merchant's whose key it is, or what ``operator_key_space`` names for an operator's.
    ``fields`` holds a digest of each field of the body: of what was said nothing is kept, and yet what differs has a
    name. ``secret`` is what the answer shows once, encrypted.
    """

    id: str
    merchant_id: str
    key: str
    path: str
    fields: Mapping[str, str]
    kept_ms: int
    request_id: str | None = None
    secret: str | None = None

    @property
    def name(self) -> tuple[str, str]:
        """The merchant and its key: what can be claimed once."""
        return self.merchant_id, self.key


class StoredResponse(msgspec.Struct, frozen=True):
    """What a request was answered: the status, the path of what it made or changed, and the attempt, if any.

    ``answer`` is the body itself, as JSON, where it could not be made again by reading the resource.
    """

    status: int
    resource: str
    attempt_id: str | None = None
    answer: str | None = None


class IdempotencyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it stands in the table: who claimed it for what, and what that request was answered."""

    merchant_id: str
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

    def differs(self, claim: Claim) -> list[str]:
        """Name what another request with this key says otherwise: its path, or fields of its body."""
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
    """A request with its claim."""

    request: Any
    claim: Claim


class AlreadyProcessed(msgspec.Struct, frozen=True):
    """The same request was answered before; nothing was done now."""

    record: IdempotencyRecord


def operator_key_space(key_id: str) -> str:
    """Name the space of the idempotency keys that an operator's API key sends with calls that are about no merchant.

    It stands where a merchant's id stands. No merchant can have this id, because it holds a space.
    """
    return f"operator {key_id}"
