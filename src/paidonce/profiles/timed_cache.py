"""A cache of what was read lately, by keys: no value is used for longer than its age, and readers share a read."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class _Entry(NamedTuple, Generic[ValueT]):
    value: ValueT
    read_at: float


class TimedCache(Generic[KeyT, ValueT]):
    """At most ``limit`` values, each as it was at most ``age_seconds`` ago. ``read`` reads one.

    The value that was read first makes room for another. ``monotonic`` returns the time in seconds.
    """

    def __init__(
        self,
        read: Callable[[KeyT], Awaitable[ValueT]],
        *,
        monotonic: Callable[[], float],
        age_seconds: float,
        limit: int,
    ) -> None:
        self._read_value = read
        self._monotonic = monotonic
        self._age_seconds = age_seconds
        self._limit = limit
        self._entries: dict[KeyT, _Entry[ValueT]] = {}
        self._reads: dict[KeyT, asyncio.Task[ValueT]] = {}
        self._invalidated_at = float("-inf")

    def is_fresh(self, key: KeyT) -> bool:
        """Tell whether ``find`` returns without waiting."""
        entry = self._entries.get(key)
        return entry is not None and self._is_fresh(entry)

    def last(self, key: KeyT) -> ValueT | None:
        """Return what was read last, however long ago; None where nothing was."""
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    async def find(self, key: KeyT) -> ValueT:
        """Return a value; raises what ``read`` raises."""
        entry = self._entries.get(key)
        if entry is not None and self._is_fresh(entry):
            return entry.value
        read = self._reads.get(key)
        if read is None:
            read = self._reads[key] = asyncio.create_task(self._read(key))
            read.add_done_callback(lambda ended: self._forget(key, ended))
        return await asyncio.shield(read)  # Other requests may wait for the same value.

    def invalidate(self) -> None:
        """Read every value again before its next use. What is being read now is used by those who wait for it only."""
        self._invalidated_at = self._monotonic()
        self._reads.clear()

    async def stop(self) -> None:
        """Stop reading."""
        reads = list(self._reads.values())
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)

    def _is_fresh(self, entry: _Entry[ValueT]) -> bool:
        return entry.read_at > self._invalidated_at and self._monotonic() < entry.read_at + self._age_seconds

    def _forget(self, key: KeyT, ended: "asyncio.Task[ValueT]") -> None:
        if self._reads.get(key) is ended:
            del self._reads[key]
        if not ended.cancelled():
            ended.exception()  # Whoever waits is told; it may be that nobody does any more.

    async def _read(self, key: KeyT) -> ValueT:
        read_at = self._monotonic()
        value = await self._read_value(key)
        before = self._entries.get(key)
        if before is None or before.read_at <= read_at:
            self._entries.pop(key, None)
            if len(self._entries) >= self._limit:
                del self._entries[next(iter(self._entries))]
            self._entries[key] = _Entry(value, read_at)
        return value
