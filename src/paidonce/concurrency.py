"""Shares bounded resources fairly between clients: concurrent requests, and bytes that wait to be sent.

A client is a name, such as the id of an API key. Nothing here depends on HTTP, and every operation takes constant time.
docs/decisions/0028 gives the reasons.
"""

import asyncio
from collections import OrderedDict, defaultdict


class QueueFull(Exception):
    """The maximum number of requests of this name is waiting already."""


class FairConcurrencyLimiter:
    """Limits concurrency to ``places`` in total. When none is free, at most ``waiting_max`` requests of each name wait.

    A free place is taken at once, so that a single name may have them all. A place that is released goes to the waiting
    names in turn (round robin), and within a name to the oldest request. So a request waits for at most one place of
    each other name, and for as many again per request of its own name ahead of it.
    """

    def __init__(self, places: int, *, waiting_max: int) -> None:
        self._free = places
        self._waiting_max = waiting_max
        # The names in round-robin order, and the futures of each in order of arrival.
        self._waiting: OrderedDict[str, OrderedDict[asyncio.Future[None], None]] = OrderedDict()

    @property
    def free(self) -> int:
        """The number of free places. While a request is waiting, none is free."""
        return self._free

    async def acquire(self, name: str) -> None:
        """Take a place, or wait for one; raises QueueFull. A cancelled request holds no place, even if it was just
        given one.
        """
        if self._free:
            self._free -= 1
            return
        queue = self._waiting.get(name)
        if queue is None:
            queue = self._waiting[name] = OrderedDict()
        elif len(queue) >= self._waiting_max:
            raise QueueFull
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue[turn] = None
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._forget(name, turn)
            else:
                self.release()  # It was given a place before the cancellation arrived.
            raise

    def release(self) -> None:
        """Release a place, to the next waiting request if there is one."""
        while self._waiting:
            name, queue = next(iter(self._waiting.items()))
            turn, _ = queue.popitem(last=False)
            is_waiting = not turn.done()  # Otherwise it was cancelled, and its task has not run since.
            if not queue:
                del self._waiting[name]
            elif is_waiting:
                self._waiting.move_to_end(name)
            if is_waiting:
                turn.set_result(None)
                return
        self._free += 1

    def _forget(self, name: str, turn: asyncio.Future[None]) -> None:
        queue = self._waiting.get(name)
        if queue is None or turn not in queue:
            return  # ``release`` has removed it already.
        del queue[turn]
        if not queue:
            del self._waiting[name]


class ConcurrencyPerName:
    """Limits the concurrency of each name to ``limit``, without waiting."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: dict[str, int] = {}

    def enter(self, name: str) -> bool:
        """Count one more and return True; return False where the limit is reached."""
        count = self._counts.get(name, 0)
        if count >= self._limit:
            return False
        self._counts[name] = count + 1
        return True

    def leave(self, name: str) -> None:
        """Count one less. Call it once for each ``enter`` that returned True."""
        count = self._counts.pop(name) - 1
        if count:
            self._counts[name] = count


class SharedBudget:
    """Limits the total of a resource whose amount is known only when it is used, such as the bytes of responses.

    A name may continue while it holds less than the free amount (dynamic thresholds, as in shared switch buffers). So a
    single name may hold half, each of two names a third, and there is always something left for a name that holds
    nothing. A charge may exceed this once, by what was admitted before.
    """

    def __init__(self, total: int) -> None:
        self._free = total
        self._held: defaultdict[str, int] = defaultdict(int)

    def held(self, name: str) -> int:
        """Return how much a name holds."""
        return self._held.get(name, 0)

    def has_room(self, name: str) -> bool:
        """Return whether a name may continue."""
        return self._held.get(name, 0) < self._free

    def charge(self, name: str, amount: int) -> None:
        """Record that a name holds more."""
        self._free -= amount
        self._held[name] += amount

    def release(self, name: str, amount: int) -> None:
        """Record that a name holds less, by an amount that it was charged."""
        self._free += amount
        self._held[name] -= amount
        if not self._held[name]:
            del self._held[name]
