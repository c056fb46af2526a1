"""Stripe's idempotency keys: the first response to a key is stored for 24 hours, an error and a 500 too.

From "Idempotent requests" (docs.stripe.com/api/idempotent_requests): nothing is stored where the parameters are
invalid, or where another request with the key is being executed.
"""

from typing import Final, NamedTuple

from paidonce.clock import Clock
from paidonce.proving.doubles.stripe.params import ApiFailure, Json

LIFETIME_MS: Final = 24 * 60 * 60 * 1000


class Stored(NamedTuple):
    """A response."""

    status: int
    body: Json


class _Entry:
    def __init__(self, fingerprint: str, created_at: int) -> None:
        self.fingerprint = fingerprint
        self.created_at = created_at
        self.stored: Stored | None = None


class IdempotencyKeys:
    """The keys of all POSTs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[str, _Entry] = {}

    def begin(self, key: str, fingerprint: str) -> Stored | None:
        """Begin a request, or return the stored response; raises ApiFailure for other parameters and while another
        request with the key is being executed.
        """
        entry = self._entries.get(key)
        if entry is None or self._clock() - entry.created_at >= LIFETIME_MS:
            self._entries[key] = _Entry(fingerprint, self._clock())
            return None
        if entry.fingerprint != fingerprint:
            message = f"Keys for idempotent requests can only be used with the same parameters: '{key}'."
            raise ApiFailure(400, message, type="idempotency_error")
        if entry.stored is None:
            message = f"There is currently another in-progress request using this Idempotent Key: {key}."
            raise ApiFailure(409, message, code="idempotency_key_in_use")
        return entry.stored

    def finish(self, key: str, stored: Stored) -> None:
        """Store the response."""
        self._entries[key].stored = stored

    def forget(self, key: str) -> None:
        """Forget a key whose request was not executed."""
        del self._entries[key]
