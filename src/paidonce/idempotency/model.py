"""What is kept of a request that bore an idempotency key, and what another with the same key is held against."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from paidonce.clock import Instant


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A request's claim to its merchant's key. ``id`` is this very request's, so that it knows its own claim again.

    ``fields`` holds a digest of each field of the body: of what was said nothing is kept, and yet what differs has a
    name.
    """

    id: str
    merchant_id: str
    key: str
    path: str
    fields: Mapping[str, str]
    kept_ms: int
    request_id: str | None = None

    @property
    def name(self) -> tuple[str, str]:
        """The merchant and its key: what can be claimed once."""
        return self.merchant_id, self.key


class Told(msgspec.Struct, frozen=True):
    """What a request was answered: the status, the path of what it made or changed, and the attempt, if any."""

    status: int
    resource: str
    attempt_id: str | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True):
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

    def differs(self, claim: Claim) -> list[str]:
        """Name what another request with this key says otherwise: its path, or fields of its body."""
        if claim.path != self.path:
            return ["path"]
        stored: dict[str, str] = msgspec.json.decode(self.fields)
        return [name for name in {**stored, **claim.fields} if stored.get(name) != claim.fields.get(name)]


class Once(msgspec.Struct, frozen=True):
    """How a request takes effect once: by its claim, and by what ``tell`` says of its outcome to those that repeat it.

    ``tell`` is one function for each kind of request: what is handed to a batcher goes by it.
    """

    claim: Claim
    tell: Callable[[Any], Told]


class Keyed(msgspec.Struct, frozen=True):
    """A request with its claim."""

    request: Any
    claim: Claim


class Answered(msgspec.Struct, frozen=True):
    """The same request was answered before; nothing was done now."""

    record: Record
