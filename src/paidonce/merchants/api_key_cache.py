"""The keyring: whose a key is, from memory for as long as that may be true, and else from the database.

A request pays for a SHA-256 and a look into a dictionary. What the dictionary says is read again behind the requests'
back every second, and nothing in it is believed for longer than five: a key that is revoked is dead everywhere by then.
"""

import asyncio
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from hmac import compare_digest
from typing import Final

import structlog

from paidonce.database.batcher import Batcher
from paidonce.errors import Overloaded, PaidonceError
from paidonce.merchants.actions import ActiveKey, load_active_keys
from paidonce.merchants.lifetimes import REFRESH_SECONDS, Lifetimes
from paidonce.merchants.model import Caller
from paidonce.merchants.secret import hash_secret, is_well_formed

log = structlog.get_logger()

AGE_SECONDS_MAX: Final = 5.0  # How long a revoked key may live on, in a process that did not revoke it.
PAUSE_SECONDS: Final = 0.01  # Between two look-ups: whatever is guessed, the database sees a hundred a second.
FAILED_PAUSE_SECONDS: Final = 0.25
WAITING_MAX: Final = 1000  # Unknown keys of one look-up; more are told to come back.
LIVING_MAX: Final = 10_000  # A few MB. Only keys that exist take a place here.
DEAD_MAX: Final = 1000  # So that a client that repeats a dead key costs little, and guesses fill no memory.
PLACE_LENGTH: Final = 16  # Of a hash's 64 characters: where to look. The whole is compared in constant time.


class _Entry:
    __slots__ = ("caller", "hash", "refresh_at", "until")

    def __init__(self, key_hash: str, caller: Caller | None, *, read_at: float, until: float) -> None:
        self.hash = key_hash
        self.caller = caller
        self.refresh_at = read_at + REFRESH_SECONDS
        self.until = until


class ApiKeyCache:
    """The keys of this process's callers. ``seconds`` tells passing time; no instant matters here."""

    def __init__(self, reader: Batcher, *, seconds: Callable[[], float]) -> None:
        self._reader = reader
        self._seconds = seconds
        self._living: dict[str, _Entry] = {}
        self._dead: dict[str, _Entry] = {}
        self._waiting: dict[str, asyncio.Future[Caller | None]] = {}
        self._stale: set[str] = set()
        self._forgotten_at = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._lifetimes = Lifetimes(seconds=seconds, read_again=self._read_again)

    async def find(self, secret: bytes) -> Caller | None:
        """Tell who bears a key; None where it opens nothing.

        Raises Overloaded where too many unknown keys wait, DatabaseUnavailable where it cannot be looked up.
        """
        key_hash = hash_secret(secret)
        now = self._seconds()
        entry = self._living.get(key_hash[:PLACE_LENGTH])
        if entry is not None and now < entry.until and compare_digest(entry.hash, key_hash):
            if now >= entry.refresh_at:
                self._read_again([key_hash])
            return entry.caller
        if not is_well_formed(secret.decode("latin-1")):
            return None
        entry = self._dead.get(key_hash)
        if entry is not None and now < entry.until:
            return None
        return await self._ask(key_hash)

    def watching(self, secret: bytes, ended: Callable[[], None]) -> AbstractContextManager[None]:
        """Call ``ended`` once, within five seconds of the key's end, if that comes within the context."""
        key_hash = hash_secret(secret)
        entry = self._living.get(key_hash[:PLACE_LENGTH])
        until = entry.until if entry is not None and compare_digest(entry.hash, key_hash) else None
        return self._lifetimes.watching(key_hash, ended, until=until)

    def forget(self) -> None:
        """Believe nothing that was read before now: this process has just changed a key."""
        self._forgotten_at = self._seconds()
        self._living.clear()
        self._dead.clear()
        self._lifetimes.doubt()

    async def stop(self) -> None:
        """Look up no more; who waits is told to come back."""
        self._lifetimes.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._refuse(self._waiting, Overloaded())

    async def _ask(self, key_hash: str) -> Caller | None:
        waiting = self._waiting.get(key_hash)
        if waiting is None:
            if len(self._waiting) >= WAITING_MAX:
                raise Overloaded
            waiting = self._waiting[key_hash] = asyncio.get_running_loop().create_future()
            self._look()
        return await asyncio.shield(waiting)  # Others may wait for the same key.

    def _read_again(self, hashes: Collection[str]) -> None:
        self._stale.update(hashes)
        self._look()

    def _look(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look_up())

    async def _look_up(self) -> None:
        """Look up whatever is asked for, one statement at a time, until nothing is."""
        while self._waiting or self._stale:
            waiting, self._waiting = self._waiting, {}
            stale, self._stale = self._stale, set()
            read_at = self._seconds()
            pause_seconds = PAUSE_SECONDS
            try:
                found = await self._reader.submit(load_active_keys, [*waiting, *stale])
            except asyncio.CancelledError:
                self._refuse(waiting, Overloaded())
                raise
            except Exception as error:
                if not isinstance(error, PaidonceError):
                    log.exception("keys_not_read")
                self._refuse(waiting, error)
                pause_seconds = FAILED_PAUSE_SECONDS
            else:
                for key_hash in (*waiting, *stale):
                    self._keep(key_hash, found.get(key_hash), read_at)
                for key_hash, future in waiting.items():
                    if not future.done():
                        living = found.get(key_hash)
                        future.set_result(None if living is None else living.caller)
            await asyncio.sleep(pause_seconds)

    def _refuse(self, waiting: dict[str, asyncio.Future[Caller | None]], error: Exception) -> None:
        for future in waiting.values():
            if not future.done():
                future.set_exception(error)
                future.exception()  # It counts as seen also where its client has gone.
        waiting.clear()

    def _keep(self, key_hash: str, living: ActiveKey | None, read_at: float) -> None:
        place = key_hash[:PLACE_LENGTH]
        if living is None:
            self._living.pop(place, None)
            self._lifetimes.end(key_hash)
        if read_at <= self._forgotten_at:
            return
        until = read_at + AGE_SECONDS_MAX
        if living is None:
            _make_room(self._dead, DEAD_MAX)
            self._dead[key_hash] = _Entry(key_hash, None, read_at=read_at, until=until)
            return
        if living.remaining_ms is not None:
            until = min(until, read_at + living.remaining_ms / 1000)
        self._lifetimes.confirm(key_hash, read_at=read_at, until=until)
        if place not in self._living:
            _make_room(self._living, LIVING_MAX)
        self._living[place] = _Entry(key_hash, living.caller, read_at=read_at, until=until)


def _make_room(entries: dict[str, _Entry], limit: int) -> None:
    """Let go of the entry that came first where there are too many: it is read again if it is still in use."""
    if len(entries) >= limit:
        del entries[next(iter(entries))]
