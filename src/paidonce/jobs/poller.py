"""The poller: it repeats one step at an interval, sooner when it is woken, and survives every error of the step."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import structlog

from paidonce.errors import DatabaseUnavailable, Overloaded

log = structlog.get_logger()

BACKOFF_SECONDS_MAX: Final = 5.0  # Longer would only delay the recovery: one attempt in five seconds loads nothing.
AT_ONCE: Final = 0.0
# Of the interval, what an idle poller's interval grows to. What another process commits is found within two seconds by
# default where somebody waits for it, and within five seconds where it becomes due by time alone.
IDLE_FACTOR: Final = 4
RARE_FACTOR: Final = 10
IDLE_GROWTH: Final = 1.5  # By how much each poll that finds nothing puts off the next one.

Step: TypeAlias = Callable[[], Awaitable[float | None]]
"""Does what is due. It returns the seconds until the next step: ``AT_ONCE`` where more is due, and None where nothing
was found: then the poller decides.
"""


class Poller:
    """Runs ``step`` every ``poll_seconds`` while it is started. ``name`` identifies it in the log.

    While steps find nothing, the interval grows up to ``idle_seconds_max``; a wake-up, or a step that finds something,
    sets it back. So an idle process costs its database little, and what this process commits is still found at once.
    Where it is known that something will be due before the next step, ``wake_in`` has a step run then.
    A step that fails is repeated with exponential backoff, which begins at ``poll_seconds``. Each step has a poller of
    its own, so that a defect in one step does not stop another. ``wake_delay_seconds`` passes between a wake-up and
    its step: one step is enough for what is committed together.
    """

    def __init__(
        self,
        name: str,
        step: Step,
        *,
        poll_seconds: float,
        idle_seconds_max: float = 0.0,
        wake_delay_seconds: float = 0.0,
    ) -> None:
        self._name = name
        self._step = step
        self._poll_seconds = poll_seconds
        self._idle_seconds_max = max(idle_seconds_max, poll_seconds)
        self._idle_seconds = poll_seconds
        self._wake_delay_seconds = wake_delay_seconds
        self._failures = 0  # In a row.
        self._timer: asyncio.TimerHandle | None = None  # For what is due before the next step, as far as is known.
        self._woken = asyncio.Event()
        self._stopped = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the poller has been started and not been stopped."""
        return self._task is not None and not self._stopped.is_set()

    def start(self) -> None:
        """Run the first step now."""
        self._task = asyncio.create_task(self._run())

    def wake(self) -> None:
        """Run a step now, or once more if one is running."""
        self._woken.set()

    def wake_in(self, seconds: float) -> None:
        """Run a step in ``seconds``, or now if none are left: something is due then.

        What is due later than the next step can be is left to that step, which looks ahead.
        """
        if seconds <= 0:
            self._woken.set()
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        if seconds <= self._idle_seconds_max and (self._timer is None or at < self._timer.when()):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_at(at, self._timer_ended)

    async def stop(self) -> None:
        """Wait for the running step to end, and run no other.

        The step is not cancelled: if it is committing a claim, the claimed jobs must reach their owner.
        """
        self._stopped.set()
        self._woken.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while not self._stopped.is_set():
            self._woken.clear()  # Before the step: a wake-up during the step asks for another one.
            try:
                seconds = await self._step()
            except (DatabaseUnavailable, Overloaded) as error:
                log.warning("poller_waits", poller=self._name, cause=error.code)
                await self._back_off()
            except Exception:
                log.exception("poller_failed", poller=self._name)
                await self._back_off()
            else:
                self._failures = 0
                await self._pause(self._next_idle_seconds() if seconds is None else seconds, is_idle=seconds is None)

    async def _back_off(self) -> None:
        """Wait before the next step. A wake-up does not shorten this wait, but a stop does."""
        seconds = min(self._poll_seconds * 2 ** min(self._failures, 16), BACKOFF_SECONDS_MAX)
        self._failures += 1
        await _wait_for(self._stopped, seconds)

    def _timer_ended(self) -> None:
        self._timer = None
        self._woken.set()

    def _next_idle_seconds(self) -> float:
        seconds = self._idle_seconds
        self._idle_seconds = min(seconds * IDLE_GROWTH, self._idle_seconds_max)
        return seconds

    async def _pause(self, seconds: float, *, is_idle: bool) -> None:
        is_woken = await _wait_for(self._woken, seconds)
        if is_woken or not is_idle:
            self._idle_seconds = self._poll_seconds
        if is_woken and self._wake_delay_seconds:
            await _wait_for(self._stopped, self._wake_delay_seconds)


async def _wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event at most ``seconds``; returns whether it is set."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return False
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
