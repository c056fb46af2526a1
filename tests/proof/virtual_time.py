"""An event loop with virtual time, which advances only when there is nothing to do: fast and deterministic."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Does not wait: it advances the clock instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:  # noqa: ANN401 - as selectors'
        ready = super().select(0)
        assert ready or timeout is not None, "everybody waits for nothing"
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A deterministic event loop; ``clock`` is its time in milliseconds, as an Instant."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def clock(self) -> int:
        return 1_700_000_000_000 + round(self._virtual.now * 1000)


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in virtual time."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main(loop))
    finally:
        loop.close()
