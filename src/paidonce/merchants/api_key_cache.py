"""The API key cache: finds the caller of a key in memory while the entry is fresh, and in the database otherwise.

A cached lookup costs one SHA-256 and one dictionary access. Entries in use are refreshed in the background every
second, and no entry is used for more than five seconds, so that a revoked key is invalid everywhere by then.
"""

import asyncio
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from hmac import compare_digest
from typing import Final

import structlog

from paidonce.database.batcher import Batcher
from paidonce.errors import DatabaseUnavailable, Overloaded, PaidonceError
from paidonce.merchants.actions import ActiveKey, load_active_keys
from paidonce.merchants.lifetimes import REFRESH_SECONDS, KeyLifetimes
from paidonce.merchants.model import Caller
from paidonce.merchants.secret import hash_secret, is_well_formed

log = structlog.get_logger()

AGE_SECONDS_MAX: Final = 5.0  # How long a revoked key may stay valid in another process.
# Between two lookups: the database gets at most a hundred a second, however many keys are guessed.
PAUSE_SECONDS: Final = 0.01
FAILED_PAUSE_SECONDS: Final = 0.25
WAITING_MAX: Final = 1000  # Unknown keys in one lookup. More are refused with Overloaded.
ACTIVE_MAX: Final = 10_000  # A few MB. Only active keys are stored here.
INACTIVE_MAX: Final = 1000  # An invalid key that is repeated costs little, and guessed keys take little memory.
LOOKUP_LENGTH: Final = 16  # Characters of the hash that index the cache. The whole hash is compared in constant time.


class _Entry:
    __slots__ = ("caller", "hash", "refresh_at", "valid_until")

    def __init__(self, key_hash: str, caller: Caller | None, *, read_at: float, valid_until: float) -> None:
        self.hash = key_hash
        self.caller = caller
        self.refresh_at = read_at + REFRESH_SECONDS
        self.valid_until = valid_until


class ApiKeyCache:
    """The cached keys of this process. ``monotonic`` returns the time in seconds."""

    def __init__(self, reader: Batcher, *, monotonic: Callable[[], float]) -> None:
        self._reader = reader
        self._monotonic = monotonic
        self._active: dict[str, _Entry] = {}
        self._inactive: dict[str, _Entry] = {}
        self._waiting: dict[str, asyncio.Future[Caller | None]] = {}
        self._stale: set[str] = set()
        self._invalidated_at = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._lifetimes = KeyLifetimes(monotonic=monotonic, refresh=self._refresh)

    async def find(self, secret: bytes) -> Caller | None:
        """Return the caller of a key; None where the key is not valid.

        Raises Overloaded where too many unknown keys are waiting, and DatabaseUnavailable where it cannot be looked up.
        """
        key_hash = hash_secret(secret)
        now = self._monotonic()
        entry = self._active.get(key_hash[:LOOKUP_LENGTH])
        if entry is not None and now < entry.valid_until and compare_digest(entry.hash, key_hash):
            if now >= entry.refresh_at:
                self._refresh([key_hash])
            return entry.caller
        if not is_well_formed(secret.decode("latin-1")):
            return None
        entry = self._inactive.get(key_hash)
        if entry is not None and now < entry.valid_until:
            return None
        return await self._await_lookup(key_hash)

    def watch(self, secret: bytes, on_end: Callable[[], None]) -> AbstractContextManager[None]:
        """Call ``on_end`` once, within five seconds of the end of the key, if that is within the context."""
        key_hash = hash_secret(secret)
        entry = self._active.get(key_hash[:LOOKUP_LENGTH])
        valid_until = entry.valid_until if entry is not None and compare_digest(entry.hash, key_hash) else None
        return self._lifetimes.watch(key_hash, on_end, valid_until=valid_until)

    def invalidate(self) -> None:
        """Discard everything that was read before now, because this process has just changed a key."""
        self._invalidated_at = self._monotonic()
        self._active.clear()
        self._inactive.clear()
        self._lifetimes.refresh_all()

    async def stop(self) -> None:
        """Stop. Requests that wait for a lookup are refused with Overloaded."""
        self._lifetimes.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._refuse(self._waiting, Overloaded())

    async def _await_lookup(self, key_hash: str) -> Caller | None:
        waiting = self._waiting.get(key_hash)
        if waiting is None:
            if len(self._waiting) >= WAITING_MAX:
                raise Overloaded
            waiting = self._waiting[key_hash] = asyncio.get_running_loop().create_future()
            self._start_lookup()
        return await asyncio.shield(waiting)  # Other requests may wait for the same key.

    def _refresh(self, hashes: Collection[str]) -> None:
        self._stale.update(hashes)
        self._start_lookup()

    def _start_lookup(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run_lookups())

    async def _run_lookups(self) -> None:
        """Look up the keys that are waiting or stale, one statement at a time, until none are left."""
        while self._waiting or self._stale:
            waiting, self._waiting = self._waiting, {}
            stale, self._stale = self._stale, set()
            read_at = self._monotonic()
            pause_seconds = PAUSE_SECONDS
            try:
                found = await self._reader.submit(load_active_keys, [*waiting, *stale])
            except asyncio.CancelledError:
                self._refuse(waiting, Overloaded())
                raise
            except Exception as error:
                if not isinstance(error, PaidonceError):
                    log.exception("api_key_lookup_failed")
                self._refuse(waiting, error)
                pause_seconds = FAILED_PAUSE_SECONDS
            else:
                unavailable = {key_hash for key_hash, active in found.items() if active is None}
                for key_hash in {*waiting, *stale} - unavailable:
                    self._store(key_hash, found.get(key_hash), read_at)
                self._refuse(
                    {one: waiting.pop(one) for one in unavailable & waiting.keys()},
                    DatabaseUnavailable(is_of_one_node=True),
                )
                for key_hash, future in waiting.items():
                    if not future.done():
                        active = found.get(key_hash)
                        future.set_result(None if active is None else active.caller)
            await asyncio.sleep(pause_seconds)

    def _refuse(self, waiting: dict[str, asyncio.Future[Caller | None]], error: Exception) -> None:
        for future in waiting.values():
            if not future.done():
                future.set_exception(error)
                future.exception()  # Marks it as retrieved where the client has disconnected.
        waiting.clear()

    def _store(self, key_hash: str, active: ActiveKey | None, read_at: float) -> None:
        index = key_hash[:LOOKUP_LENGTH]
        if active is None:
            self._active.pop(index, None)
            self._lifetimes.end(key_hash)
        if read_at <= self._invalidated_at:
            return
        valid_until = read_at + AGE_SECONDS_MAX
        if active is None:
            _evict(self._inactive, INACTIVE_MAX)
            self._inactive[key_hash] = _Entry(key_hash, None, read_at=read_at, valid_until=valid_until)
            return
        if active.remaining_ms is not None:
            valid_until = min(valid_until, read_at + active.remaining_ms / 1000)
        self._lifetimes.confirm(key_hash, read_at=read_at, valid_until=valid_until)
        if index not in self._active:
            _evict(self._active, ACTIVE_MAX)
        self._active[index] = _Entry(key_hash, active.caller, read_at=read_at, valid_until=valid_until)


def _evict(entries: dict[str, _Entry], limit: int) -> None:
    """Evict the oldest entry where there are too many. A key that is still in use is read again."""
    if len(entries) >= limit:
        del entries[next(iter(entries))]
