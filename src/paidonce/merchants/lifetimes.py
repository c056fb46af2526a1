"""Watches API keys that a request depends on for a long time: an open event stream, or a wait for a payment.

A watched key is read again every second. It has ended when a read no longer finds it active, when it expires, or when
no read has confirmed it for the maximum age of a cache entry.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

REFRESH_SECONDS: Final = 1.0


class _WatchedKey:
    __slots__ = ("listeners", "refresh_at", "valid_until")

    def __init__(self, valid_until: float, refresh_at: float) -> None:
        self.valid_until = valid_until
        self.refresh_at = refresh_at
        self.listeners: set[Callable[[], None]] = set()


class KeyLifetimes:
    """The watched keys, by their hashes. ``refresh`` is called to look keys up again; ``confirm`` and ``end`` report
    what was found. ``monotonic`` returns the time in seconds.
    """

    def __init__(self, *, monotonic: Callable[[], float], refresh: Callable[[Collection[str]], None]) -> None:
        self._monotonic = monotonic
        self._refresh = refresh
        self._entries: dict[str, _WatchedKey] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    @contextmanager
    def watch(self, key_hash: str, on_end: Callable[[], None], *, valid_until: float | None) -> Iterator[None]:
        """Call ``on_end`` once when the key ends within the context. ``valid_until`` is how long the cache entry is
        valid; where it is None, the key is looked up now and must be confirmed.
        """
        now = self._monotonic()
        entry = self._entries.get(key_hash)
        if entry is None:
            if valid_until is None:
                entry = _WatchedKey(now + REFRESH_SECONDS, now)
                self._refresh([key_hash])
            else:
                entry = _WatchedKey(valid_until, now + REFRESH_SECONDS)
            self._entries[key_hash] = entry
        entry.listeners.add(on_end)
        self._wake_at(min(entry.valid_until, now + REFRESH_SECONDS))
        try:
            yield
        finally:
            entry.listeners.discard(on_end)
            if not entry.listeners and self._entries.get(key_hash) is entry:
                del self._entries[key_hash]

    def confirm(self, key_hash: str, *, read_at: float, valid_until: float) -> None:
        """Record that a read has found the key active; it is valid until then."""
        entry = self._entries.get(key_hash)
        if entry is not None:
            entry.valid_until = valid_until
            entry.refresh_at = read_at + REFRESH_SECONDS
            self._wake_at(valid_until)

    def end(self, key_hash: str) -> None:
        """End a key, and call its listeners."""
        entry = self._entries.pop(key_hash, None)
        if entry is not None:
            for on_end in list(entry.listeners):
                on_end()

    def refresh_all(self) -> None:
        """Look up all watched keys now, because a key has just been changed."""
        if self._entries:
            self._refresh(self._entries.keys())

    def stop(self) -> None:
        """Stop watching."""
        self._entries.clear()

    def _wake_at(self, at: float) -> None:
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_later(max(0.0, at - self._monotonic()), self._check)

    def _check(self) -> None:
        self._timer = None
        now = self._monotonic()
        for key_hash in [one for one, entry in self._entries.items() if entry.valid_until <= now]:
            self.end(key_hash)
        stale = [one for one, entry in self._entries.items() if entry.refresh_at <= now]
        if stale:
            self._refresh(stale)
        if self._entries:
            self._wake_at(min(now + REFRESH_SECONDS, *(entry.valid_until for entry in self._entries.values())))
