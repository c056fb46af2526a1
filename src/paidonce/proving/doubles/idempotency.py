"""Idempotency keys of a double: the first response to a key is stored for a time, and replayed.

Nothing is stored where the parameters are invalid, or where another request with the key is being executed.
"""

from typing import Any

from paidonce.clock import Clock
from paidonce.proving.doubles.calls import PreparedCall, ProviderApi, Reply


class _Entry:
    def __init__(self, fingerprint: str, expires_at: int) -> None:
        self.fingerprint = fingerprint
        self.expires_at = expires_at
        self.reply: Reply | None = None


class IdempotencyKeys:
    """The keys of all calls. With ``enabled=False`` every call is executed, which a proof must notice."""

    def __init__(self, api: ProviderApi[Any], clock: Clock, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self._api = api
        self._clock = clock
        self._entries: dict[str, _Entry] = {}

    def begin(self, call: PreparedCall, fingerprint: str) -> Reply | None:
        """Begin a call, or return the response to its key; raises ApiFailure for other parameters and while another
        call with the key is being executed.
        """
        if not call.key or not self.enabled:
            return None
        entry = self._entries.get(call.key)
        if entry is None or self._clock() >= entry.expires_at:
            self._entries[call.key] = _Entry(fingerprint, self._clock() + call.key_lifetime_ms)
            return None
        if entry.fingerprint != fingerprint:
            raise self._api.key_reused(call.key)
        if entry.reply is None:
            raise self._api.key_in_use(call.key)
        return call.replay(entry.reply)

    def finish(self, call: PreparedCall, reply: Reply | None) -> None:
        """Store the response. None, of a call that was not executed, forgets the key."""
        if reply is None or (400 <= reply.status < 500 and not call.key_stores_refusals):  # noqa: PLR2004 - HTTP
            self._entries.pop(call.key, None)
        elif call.key in self._entries:
            self._entries[call.key].reply = reply
