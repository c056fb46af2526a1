"""Keys whose end somebody waits for: whoever holds a stream open, or waits for a payment, under a key.

A key is read again every second while it is watched. It has ended when a read no longer finds it, when it expires, and
when no read has confirmed it for as long as a key may be believed.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

REFRESH_SECONDS: Final = 1.0


class _Watched:
    __slots__ = ("refresh_at", "until", "watchers")

    def __init__(self, until: float, refresh_at: float) -> None:
        self.until = until
        self.refresh_at = refresh_at
        self.watchers: set[Callable[[], None]] = set()


class Lifetimes:
    """The keys that are watched, by their hashes. ``read_again`` has some looked up; ``confirm`` and ``end`` tell what
    was found. ``seconds`` tells passing time.
    """

    def __init__(self, *, seconds: Callable[[], float], read_again: Callable[[Collection[str]], None]) -> None:
        self._seconds = seconds
        self._read_again = read_again
        self._watched: dict[str, _Watched] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    @contextmanager
    def watching(self, key_hash: str, ended: Callable[[], None], *, until: float | None) -> Iterator[None]:
        """Call ``ended`` once when the key ends within the context. ``until`` is how long it is believed so far; where
        that is not known it has to be confirmed at once.
        """
        now = self._seconds()
        watched = self._watched.get(key_hash)
        if watched is None:
            if until is None:
                watched = _Watched(now + REFRESH_SECONDS, now)
                self._read_again([key_hash])
            else:
                watched = _Watched(until, now + REFRESH_SECONDS)
            self._watched[key_hash] = watched
        watched.watchers.add(ended)
        self._wake_at(min(watched.until, now + REFRESH_SECONDS))
        try:
            yield
        finally:
            watched.watchers.discard(ended)
            if not watched.watchers and self._watched.get(key_hash) is watched:
                del self._watched[key_hash]

    def confirm(self, key_hash: str, *, read_at: float, until: float) -> None:
        """Believe in a key until then: it was read, and it lived."""
        watched = self._watched.get(key_hash)
        if watched is not None:
            watched.until = until
            watched.refresh_at = read_at + REFRESH_SECONDS
            self._wake_at(until)

    def end(self, key_hash: str) -> None:
        """Tell who watches a key that it has ended."""
        watched = self._watched.pop(key_hash, None)
        if watched is not None:
            for ended in list(watched.watchers):
                ended()

    def doubt(self) -> None:
        """Have every key that is watched read again now: one has just been changed."""
        if self._watched:
            self._read_again(self._watched.keys())

    def stop(self) -> None:
        """Watch no more."""
        self._watched.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _wake_at(self, at: float) -> None:
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_later(max(0.0, at - self._seconds()), self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._seconds()
        for key_hash in [one for one, watched in self._watched.items() if watched.until <= now]:
            self.end(key_hash)
        stale = [one for one, watched in self._watched.items() if watched.refresh_at <= now]
        if stale:
            self._read_again(stale)
        if self._watched:
            self._wake_at(min(now + REFRESH_SECONDS, *(watched.until for watched in self._watched.values())))
