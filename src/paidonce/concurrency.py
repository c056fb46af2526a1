"""Sharing what is bounded fairly between those who ask for it: places, and bytes that wait to be sent.

Whoever asks is a name, such as a key's id. Nothing here knows of HTTP, and every operation costs the same however many
ask or wait. docs/decisions/0028 says why it is done so.
"""

import asyncio
from collections import OrderedDict, defaultdict


class QueueFull(Exception):
    """As many wait under this name as may; whoever asks is not taken in."""


class FairConcurrencyLimiter:
    """At most ``places`` at once, whoever they are; who finds none free waits, at most ``waiting_max`` of one name.

    A free place is taken at once, so that a name that is alone may have them all. A place that becomes free while
    somebody waits goes to the names that wait in turns, and within a name to who came first. So a request waits, at the
    most, for one place of each other name, and as many again for each of its own name's that wait ahead of it.
    """

    def __init__(self, places: int, *, waiting_max: int) -> None:
        self._free = places
        self._waiting_max = waiting_max
        # The names in the order of their turns, and each one's futures in the order in which they came.
        self._waiting: OrderedDict[str, OrderedDict[asyncio.Future[None], None]] = OrderedDict()

    @property
    def free(self) -> int:
        """How many places are free; while somebody waits, none is."""
        return self._free

    async def acquire(self, name: str) -> None:
        """Take a place, or wait for one; raises QueueFull. Whoever is cancelled has none, also in its very moment."""
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
                self.release()  # The place was given before the cancellation arrived.
            raise

    def release(self) -> None:
        """Give a place back: to who is next, if anybody waits."""
        while self._waiting:
            name, queue = next(iter(self._waiting.items()))
            turn, _ = queue.popitem(last=False)
            is_waiting = not turn.done()  # Else it was cancelled, and its task has not heard of it yet.
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
            return  # It was passed over already.
        del queue[turn]
        if not queue:
            del self._waiting[name]


class ConcurrencyPerName:
    """At most ``limit`` of each name at once; there is no waiting."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: dict[str, int] = {}

    def enter(self, name: str) -> bool:
        """Count one more, and return True; False where there are as many as may be, and nothing is counted."""
        count = self._counts.get(name, 0)
        if count >= self._limit:
            return False
        self._counts[name] = count + 1
        return True

    def leave(self, name: str) -> None:
        """Count one less; call it once for each ``enter`` that returned True."""
        count = self._counts.pop(name) - 1
        if count:
            self._counts[name] = count


class SharedBudget:
    """At most about ``total`` of something that is known only when it is there, as the bytes of an answer are.

    A name may go on while it holds less than nobody holds (dynamic thresholds, as switches share their buffers). So a
    name that is alone may hold half, each of two a third, and there is always something left for a name that holds
    nothing. What is charged may go beyond that once: by what was let in before.
    """

    def __init__(self, total: int) -> None:
        self._free = total
        self._held: defaultdict[str, int] = defaultdict(int)

    def held(self, name: str) -> int:
        """Tell how much a name holds."""
        return self._held.get(name, 0)

    def has_room(self, name: str) -> bool:
        """Tell whether a name may go on."""
        return self._held.get(name, 0) < self._free

    def charge(self, name: str, amount: int) -> None:
        """Note that a name holds more."""
        self._free -= amount
        self._held[name] += amount

    def give_back(self, name: str, amount: int) -> None:
        """Note that a name holds less, by what it was charged with."""
        self._free += amount
        self._held[name] -= amount
        if not self._held[name]:
            del self._held[name]
