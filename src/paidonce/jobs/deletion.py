"""The pace of deleting old rows: small steps, between which others write."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from paidonce.clock import Clock, Instant
from paidonce.jobs.poller import Step

REST: Final = 9  # It rests nine times as long as a step took: others have at least nine tenths of the writer's time.
REST_SECONDS_MIN: Final = 0.01  # At least another batch of the writer comes in between.


def paced_deletion(delete: Callable[[], Awaitable[bool]], *, interval_ms: int, clock: Clock) -> Step:
    """Return the step of a poller that runs ``delete``, which deletes a bounded number of rows and tells whether there
    may be more.

    While there are more, it rests in proportion to how long a step took; then it deletes nothing for ``interval_ms``.
    """
    delete_at: Instant = 0

    async def step() -> float | None:
        nonlocal delete_at
        now = clock()
        if now < delete_at:
            return None
        loop = asyncio.get_running_loop()
        began = loop.time()
        if await delete():
            return max(REST_SECONDS_MIN, REST * (loop.time() - began))
        delete_at = now + interval_ms
        return None

    return step
